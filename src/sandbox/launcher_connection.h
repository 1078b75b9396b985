#ifndef SYMBIONT_SANDBOX_LAUNCHER_CONNECTION_H_
#define SYMBIONT_SANDBOX_LAUNCHER_CONNECTION_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/protocol.h"

namespace symbiont::sandbox {

/// A running symbiont-launcher and the replies it sent. Thread-safe. Destroying it ends the
/// launcher and all it started.
class LauncherConnection {
 public:
  /// posix_spawn only: the caller may have many threads.
  [[nodiscard]] static Result<std::shared_ptr<LauncherConnection>> start(
      const std::filesystem::path& program);
  ~LauncherConnection();
  LauncherConnection(const LauncherConnection&) = delete;
  LauncherConnection& operator=(const LauncherConnection&) = delete;

  [[nodiscard]] bool alive();
  /// Id and Started or Failed. Unavailable when the launcher died meanwhile.
  struct Started {
    std::uint64_t id = 0;
    ReplyMessage reply;
    UniqueFd relay;
  };
  /// `fds` and what they are, as PlanFd.
  [[nodiscard]] Result<Started> spawn(const Policy& policy,
                                      const std::vector<int>& fds,
                                      std::vector<int> passed);
  /// How the launcher would hold each control.
  [[nodiscard]] Result<ControlReport> probe(const Policy& policy);
  void send_signal(std::uint64_t id, int signal);
  /// Figures now, or the final ones; empty figures when the launcher does not answer within a
  /// second.
  [[nodiscard]] ReplyMessage usage(std::uint64_t id);
  /// Changes what a process may hold, until it ends; 0: back to its policy's limit.
  [[nodiscard]] Status limit_memory(std::uint64_t id, std::uint64_t bytes);
  /// The Ended reply; made up (killed) when the launcher itself is gone, for then its processes are
  /// too.
  [[nodiscard]] std::optional<ReplyMessage> wait_ended(
      std::uint64_t id, std::chrono::steady_clock::time_point deadline);
  void forget(std::uint64_t id);

 private:
  struct Entry {
    std::optional<ReplyMessage> started;
    UniqueFd relay;
    std::optional<ReplyMessage> usage;
    std::optional<ReplyMessage> limited;
    std::optional<ReplyMessage> ended;
  };
  LauncherConnection(UniqueFd socket, pid_t pid);
  void read_replies();
  [[nodiscard]] Result<Started> ask(RequestMessage message, const std::vector<int>& fds);
  void send(const RequestMessage& message, const std::vector<int>& fds);

  const UniqueFd socket_;
  const pid_t pid_;
  Mutex mutex_;
  CondVar changed_;
  bool alive_ SYMBIONT_GUARDED_BY(mutex_) = true;
  std::uint64_t next_id_ SYMBIONT_GUARDED_BY(mutex_) = 1;
  std::map<std::uint64_t, Entry> entries_ SYMBIONT_GUARDED_BY(mutex_);
  std::thread reader_;
};

/// posix_spawn of `program` with `socket`, when valid, as kLauncherFd, an empty environment, and
/// nothing else open but 0 and 1 (/dev/null) and 2.
[[nodiscard]] Result<pid_t> spawn_program(const std::filesystem::path& program,
                                          const std::vector<std::string>& arguments,
                                          int socket);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_LAUNCHER_CONNECTION_H_
