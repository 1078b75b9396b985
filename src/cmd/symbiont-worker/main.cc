// symbiont-worker: the confined process that holds untrusted bytes. Started by symbiont-launcher
// with the control socket as descriptor 3 and nothing else.

#include <unistd.h>

#include <optional>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/lockdown.h"
#include "worker/worker.h"

int main() {
  using symbiont::Status;
  using symbiont::sandbox::Lockdown;
  std::optional<Lockdown> lockdown;
  const symbiont::worker::Locks locks{
      .before_load = [&lockdown]() -> Status {
        SYMBIONT_TRY(Lockdown locked, Lockdown::before_load());
        lockdown.emplace(std::move(locked));
        return {};
      },
      .before_inference = [&lockdown]() -> Status { return lockdown->before_inference(); }};
  const int code =
      symbiont::worker::run_worker(symbiont::UniqueFd(symbiont::sandbox::kControlFd), locks);
  ::_exit(code);  // destructors of libraries would make system calls that lock 2 forbids
}
