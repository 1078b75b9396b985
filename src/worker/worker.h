#ifndef SYMBIONT_WORKER_WORKER_H_
#define SYMBIONT_WORKER_WORKER_H_

// The confined process from its first line to its last.

#include <functional>

#include "base/result.h"
#include "base/unique_fd.h"

namespace symbiont::worker {

/// How the worker confines itself: sandbox::Lockdown in the program, nothing in tests.
struct Locks {
  std::function<Status()> before_load;       ///< lock 1
  std::function<Status()> before_inference;  ///< lock 2
};

/// Warms the libraries up, locks, loads the model that the other end of `control` sends, locks
/// again, serves until that end closes. Returns the exit code: 0 after a close, 1 when the load
/// failed and a Failed frame says why, 2 when a lock failed or the channel broke. Once in a
/// process, which must then _exit(): what it made is never destroyed.
[[nodiscard]] int run_worker(UniqueFd control, const Locks& locks);

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_WORKER_H_
