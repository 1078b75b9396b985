// symbiont-launcher: builds namespaces and cgroups and starts confined processes for the program
// that started it. Small and single-threaded, so that clone between its steps is safe.

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "sandbox/supervisor.h"

namespace {

using namespace symbiont;  // NOLINT(google-build-using-namespace): a main

int report(const Error& error) {
  (void)std::fprintf(stderr, "symbiont-launcher: %s\n", error.message().c_str());
  return 1;
}

}  // namespace

int main(int argc, char**) {
  if (argc != 1 || ::fcntl(sandbox::kLauncherFd, F_GETFD) < 0) {
    (void)std::fprintf(stderr, "symbiont-launcher is started by symbiont, not by hand\n");
    return 2;
  }
  (void)std::signal(SIGPIPE, SIG_IGN);
  // Not without privilege: the identity maps of a child that cannot be dumped belong to root.
  if (::geteuid() == 0 && ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return report(errno_error("forbid debugging"));
  }
  sandbox::Supervisor supervisor{UniqueFd(sandbox::kLauncherFd)};
  const Status status = supervisor.run();
  return status.has_value() ? 0 : report(status.error());
}
