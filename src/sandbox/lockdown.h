#ifndef SYMBIONT_SANDBOX_LOCKDOWN_H_
#define SYMBIONT_SANDBOX_LOCKDOWN_H_

// What a confined process does to itself. A worker calls these after exec, once its libraries are
// loaded and before any untrusted byte is read. Each call is irreversible.

#include <utility>

#include "base/result.h"
#include "sandbox/lockdown_spec.h"

namespace symbiont::sandbox {

/// The worker's control socket: the only descriptor it keeps (0, 1 and 2 are /dev/null or closed).
inline constexpr int kControlFd = 3;

/// Proof that this process has locked itself down, and the way to lock 2.
class Lockdown {
 public:
  /// Lock 1. Enters an empty root, closes every descriptor above kControlFd, gives up every
  /// identity and capability, forbids new privileges, applies Landlock without rules, and installs
  /// the load filter. What it needs to know comes from the launcher in one environment variable,
  /// which it removes with all others. Must run single-threaded. On error the process must exit: it
  /// may be half confined.
  [[nodiscard]] static Result<Lockdown> before_load();

  /// Lock 2, on all threads: no new threads, no descriptors, no mappings of files. Call after one
  /// warm-up decode.
  [[nodiscard]] Status before_inference() const;

 private:
  explicit Lockdown(LockdownSpec spec) : spec_(std::move(spec)) {}
  LockdownSpec spec_;
};

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_LOCKDOWN_H_
