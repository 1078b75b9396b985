#ifndef SYMBIONT_BASE_PAUSE_H_
#define SYMBIONT_BASE_PAUSE_H_

#include <chrono>
#include <stop_token>

namespace symbiont {

/// Sleeps until `deadline`, or a stop is requested. Threads: any.
void pause_until(std::chrono::steady_clock::time_point deadline, const std::stop_token& stop_token);

}  // namespace symbiont

#endif  // SYMBIONT_BASE_PAUSE_H_
