#ifndef SYMBIONT_SANDBOX_SUPERVISOR_H_
#define SYMBIONT_SANDBOX_SUPERVISOR_H_

#include <poll.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/protocol.h"
#include "sandbox/start.h"

namespace symbiont::sandbox {

/// The launcher's loop: one thread, one socket to the process that started it. When that socket
/// ends, everything it started is killed, its cgroups are removed, and run() returns.
class Supervisor {
 public:
  explicit Supervisor(UniqueFd socket);
  [[nodiscard]] Status run();

 private:
  struct Child {
    ConfinedProcess process;
    std::uint64_t memory_limit = 0;
    std::uint64_t peak_rss_bytes = 0;  ///< watched from outside where no memory cgroup counts
    bool over_limit = false;
  };

  void finish_ended(const std::vector<pollfd>& polled, const std::vector<std::uint64_t>& ids);
  [[nodiscard]] Status end(const Error& why);
  [[nodiscard]] Status handle_request();
  [[nodiscard]] Status spawn(std::uint64_t id, const Policy& policy, std::vector<UniqueFd> fds);
  [[nodiscard]] Status reply_failed(std::uint64_t id,
                                    std::string step,
                                    int error_number,
                                    ControlReport controls);
  [[nodiscard]] Status reply_usage(std::uint64_t id);
  [[nodiscard]] Status finish(std::uint64_t id);
  void watch_memory();
  void kill_all();

  UniqueFd socket_;
  HostFacts host_;
  std::uint64_t sequence_ = 0;
  std::map<std::uint64_t, Child> children_;
};

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_SUPERVISOR_H_
