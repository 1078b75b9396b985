#ifndef SYMBIONT_SANDBOX_SUPERVISOR_H_
#define SYMBIONT_SANDBOX_SUPERVISOR_H_

#include <poll.h>

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/notifier.h"
#include "sandbox/prepared_tree.h"
#include "sandbox/protocol.h"
#include "sandbox/start.h"

namespace symbiont::sandbox {

/// The launcher's loop: one thread, one socket to the process that started it. When that socket
/// ends, everything it started is killed, its cgroups are removed, and run() returns.
///
/// After the first start it keeps trees ready for the next ones.
class Supervisor {
 public:
  explicit Supervisor(UniqueFd socket);
  [[nodiscard]] Status run();

 private:
  struct Child {
    ConfinedProcess process;
    std::uint64_t most_memory = 0;     ///< of its policy
    std::uint64_t memory_limit = 0;    ///< now
    std::uint64_t peak_rss_bytes = 0;  ///< watched from outside where no memory cgroup counts
    bool over_limit = false;
    std::optional<Notifier> notifier;
  };
  /// What a polled descriptor belongs to.
  struct Source {
    std::uint64_t id = 0;
    bool notifications = false;
  };

  [[nodiscard]] Status end(const Error& why);
  void add_sources(std::vector<pollfd>& polled, std::vector<Source>& sources) const;
  void handle_children(const std::vector<pollfd>& polled, const std::vector<Source>& sources);
  void answer_notification(Child& child);
  [[nodiscard]] Status handle_request();
  [[nodiscard]] Status spawn(const RequestMessage& message, std::vector<UniqueFd> fds);
  [[nodiscard]] std::expected<PreparedTree, StartFailure> take_tree(bool own_network);
  [[nodiscard]] Status reply_started(std::uint64_t id,
                                     const Policy& policy,
                                     ConfinedProcess process,
                                     const std::string& group,
                                     ControlReport controls);
  [[nodiscard]] Status reply_failed(std::uint64_t id,
                                    const StartFailure& failure,
                                    ControlReport controls = {});
  [[nodiscard]] Status reply_usage(std::uint64_t id);
  [[nodiscard]] Status limit_memory(std::uint64_t id, Child& child, std::uint64_t bytes);
  [[nodiscard]] Status finish(std::uint64_t id);
  [[nodiscard]] std::string next_group();
  void prepare_spare();
  void watch_memory();
  void kill_all();

  UniqueFd socket_;
  HostFacts host_;
  std::uint64_t sequence_ = 0;
  std::map<std::uint64_t, Child> children_;
  std::list<PreparedTree> spares_;
  std::size_t wanted_spares_ = 0;
  std::vector<Cgroup> emptied_;  ///< of ended trees; one removes itself when it is dropped
};

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_SUPERVISOR_H_
