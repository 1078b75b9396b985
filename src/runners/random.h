#ifndef SYMBIONT_RUNNERS_RANDOM_H_
#define SYMBIONT_RUNNERS_RANDOM_H_

#include <cstdint>
#include <string>

namespace symbiont {

/// From the kernel's generator.
[[nodiscard]] std::uint64_t random_u64();

/// "exec-" and 32 hex digits; unique.
[[nodiscard]] std::string new_execution_id();

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_RANDOM_H_
