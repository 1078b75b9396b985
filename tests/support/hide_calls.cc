// Runs a program as an older kernel would: the named system calls do not exist (ENOSYS).
// Usage: hide_calls CALL[,CALL...] COMMAND...

#include <seccomp.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

namespace {

[[noreturn]] void fail(const std::string& step) {
  std::fprintf(stderr, "hide_calls: %s: %s\n", step.c_str(), std::strerror(errno));
  std::exit(124);
}

void hide(const std::string& names) {
  scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
  if (filter == nullptr) fail("make a filter");
  // As root without no_new_privs, which would change what the program may do.
  if (::geteuid() == 0) (void)::seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
  std::istringstream list(names);
  for (std::string name; std::getline(list, name, ',');) {
    const int number = ::seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) fail("'" + name + "' is no system call");
    if (::seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), number, 0) != 0) fail(name);
  }
  if (::seccomp_load(filter) != 0) fail("install the filter");
  ::seccomp_release(filter);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: hide_calls CALL[,CALL...] COMMAND...\n");
    return 2;
  }
  hide(argv[1]);
  ::execvp(argv[2], argv + 2);
  fail(argv[2]);
}
