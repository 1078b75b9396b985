// Runs a program as many containers would: no namespace can be made, nothing mounted, clone3(2) is
// hidden, cgroups are read-only, and of root's capabilities those are left that container engines
// leave. Usage: without_namespaces [--no-landlock] COMMAND...

#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

constexpr std::array kKept = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,  CAP_FSETID, CAP_KILL,
                              CAP_SETGID, CAP_SETUID,       CAP_SETPCAP, CAP_NET_RAW};
constexpr std::array kRefused = {"unshare",   "setns",      "mount",  "umount2", "pivot_root",
                                 "open_tree", "move_mount", "fsopen", "fsmount", "mount_setattr"};
constexpr std::array kLandlock = {"landlock_create_ruleset", "landlock_add_rule",
                                  "landlock_restrict_self"};

[[noreturn]] void fail(const char* step) {
  std::fprintf(stderr, "without_namespaces: %s: %s\n", step, std::strerror(errno));
  std::exit(125);
}

void must(bool done, const char* step) {
  if (!done) fail(step);
}

// What an engine mounts over the cgroups is read-only.
void hide_cgroups() {
  must(::unshare(CLONE_NEWNS) == 0, "unshare mounts");
  must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "make mounts private");
  must(::mount("none", "/sys/fs/cgroup", "tmpfs", MS_RDONLY, nullptr) == 0, "hide cgroups");
}

void drop_capabilities() {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    if (std::ranges::find(kKept, capability) == kKept.end())
      must(::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0, "drop a capability");
  }
}

void refuse(scmp_filter_ctx filter, const char* name, std::uint32_t error) {
  const int number = ::seccomp_syscall_resolve_name(name);
  must(::seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), number, 0) == 0, name);
}

void install_filter(bool landlock) {
  scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
  must(filter != nullptr, "make a filter");
  if (::geteuid() == 0)
    must(::seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0) == 0, "leave privileges");
  for (const char* name : kRefused)
    refuse(filter, name, EPERM);
  refuse(filter, "clone3", ENOSYS);
  if (!landlock)
    for (const char* name : kLandlock)
      refuse(filter, name, ENOSYS);
  for (const int flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC}) {
    const auto bit = static_cast<scmp_datum_t>(flag);
    const scmp_arg_cmp has_flag{0, SCMP_CMP_MASKED_EQ, bit, bit};
    must(
        ::seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, &has_flag) == 0,
        "refuse clone");
  }
  must(::seccomp_load(filter) == 0, "install the filter");
  ::seccomp_release(filter);
}

}  // namespace

int main(int argc, char** argv) {
  int first = 1;
  const bool landlock = argc < 2 || std::string_view(argv[1]) != "--no-landlock";
  if (!landlock) ++first;
  if (first >= argc) {
    std::fprintf(stderr, "usage: without_namespaces [--no-landlock] COMMAND...\n");
    return 2;
  }
  if (::geteuid() == 0) {
    hide_cgroups();
    // The filter is installed while that is still allowed; the bounding set takes hold at exec.
    install_filter(landlock);
    drop_capabilities();
  } else {
    install_filter(landlock);
  }
  ::execvp(argv[first], argv + first);
  fail(argv[first]);
}
