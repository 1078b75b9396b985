#ifndef SYMBIONT_SANDBOX_NOTIFIER_H_
#define SYMBIONT_SANDBOX_NOTIFIER_H_

// The launcher's answers to system calls that a program's filter asks about: it names what was
// denied, counts processes, and says no. Only calls whose arguments are in registers are ever let
// through to decide something; a path is read to be reported and decides nothing.

#include <linux/seccomp.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "symbiont/sandbox.h"

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/policy.h"

namespace symbiont::sandbox {

/// Denials of one program, each different one once with a count.
class DenialLog {
 public:
  static constexpr std::size_t kMaxDenials = 256;

  /// `idle`: libraries and shells ask for such things without needing them.
  void add(Denial denial, bool idle = false);
  [[nodiscard]] const std::vector<Denial>& denials() const { return denials_; }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  /// Index of the newest that may explain a failure: an idle one only where there is no other; -1
  /// when there is none.
  [[nodiscard]] int newest() const { return newest_ >= 0 ? newest_ : newest_idle_; }

 private:
  std::vector<Denial> denials_;
  std::uint64_t dropped_ = 0;
  int newest_ = -1;
  int newest_idle_ = -1;
};

class Notifier {
 public:
  /// `live_processes` counts the program's processes, itself included.
  Notifier(UniqueFd listener, const Policy& policy, std::function<std::size_t()> live_processes);

  [[nodiscard]] int fd() const { return listener_.get(); }
  /// Takes one notification and answers it; false when the listener has ended.
  [[nodiscard]] bool handle();
  /// Nothing can ask any more.
  void close() { listener_.reset(); }
  /// A system call was denied under strict filtering: the tree is to be killed. Its name.
  [[nodiscard]] const std::string& fatal_call() const { return fatal_call_; }
  [[nodiscard]] const DenialLog& log() const { return log_; }

 private:
  struct Answer {
    int error = 0;  ///< 0: let the call through
    bool fatal = false;
  };
  [[nodiscard]] Answer decide(const seccomp_notif& asked);
  [[nodiscard]] Answer on_socket(const seccomp_notif& asked);
  [[nodiscard]] Answer on_new_process(const std::string& name);
  [[nodiscard]] Answer on_open(const seccomp_notif& asked, const std::string& name);

  UniqueFd listener_;
  std::vector<ViewEntry> view_;
  bool strict_;
  std::uint32_t max_processes_;
  std::function<std::size_t()> live_processes_;
  std::string fatal_call_;
  DenialLog log_;
};

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_NOTIFIER_H_
