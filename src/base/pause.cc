#include "base/pause.h"

#include <condition_variable>
#include <mutex>

namespace symbiont {

void pause_until(std::chrono::steady_clock::time_point deadline,
                 const std::stop_token& stop_token) {
  std::mutex unshared;
  std::condition_variable_any never;
  std::unique_lock lock(unshared);
  (void)never.wait_until(lock, stop_token, deadline, [] { return false; });
}

}  // namespace symbiont
