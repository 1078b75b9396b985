#include "sandbox/confine.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace symbiont::sandbox {
namespace {

// Any directory that every host has; the mount on it is visible in our own mount namespace only.
constexpr const char* kMountPoint = "/tmp";

const char* limit(__rlimit_resource which, rlim_t value, const char* step) {
  const rlimit both{value, value};
  return ::setrlimit(which, &both) == 0 ? nullptr : step;
}

/// What exec could give back. Needs CAP_SETPCAP.
const char* forbid_capabilities() {
  int capability = 0;
  while (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0)
    ++capability;
  // EINVAL: past the last one this kernel knows.
  if (errno != EINVAL || capability == 0) return "drop the bounding set";
  constexpr unsigned kSecureBits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                   SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                   SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  return ::prctl(PR_SET_SECUREBITS, kSecureBits, 0, 0, 0) == 0 ? nullptr : "lock the secure bits";
}

const char* drop_capabilities() {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return "clear ambient capabilities";
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2] = {};
  return ::syscall(SYS_capset, &header, none) == 0 ? nullptr : "drop capabilities";
}

}  // namespace

const char* enter_empty_root(const char* mount_data, bool read_only) {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return "make mounts private";
  constexpr unsigned long kFlags =
      MS_NOSUID | MS_NODEV | MS_NOEXEC;  // NOLINT(google-runtime-int): mount's type
  if (::mount("symbiont", kMountPoint, "tmpfs", kFlags, mount_data) != 0) return "mount the root";
  if (::chdir(kMountPoint) != 0) return "enter the root";
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return "pivot into the root";
  if (::umount2(".", MNT_DETACH) != 0) return "detach the host's tree";
  if (::chdir("/") != 0) return "enter the root";
  if (read_only &&
      ::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kFlags, nullptr) != 0) {
    return "make the root read-only";
  }
  return nullptr;
}

const char* apply_rlimits(const LockdownSpec& spec) {
  const char* failed = limit(RLIMIT_CORE, 0, "forbid core files");
  if (failed == nullptr) failed = limit(RLIMIT_MEMLOCK, 0, "forbid locked memory");
  if (failed == nullptr) failed = limit(RLIMIT_MSGQUEUE, 0, "forbid message queues");
  if (failed == nullptr) failed = limit(RLIMIT_NOFILE, spec.max_descriptors, "limit descriptors");
  if (failed == nullptr) failed = limit(RLIMIT_FSIZE, spec.max_file_bytes, "limit file size");
  if (failed == nullptr && spec.data_bytes > 0)
    failed = limit(RLIMIT_DATA, spec.data_bytes, "limit data");
  if (failed == nullptr && spec.max_processes > 0)
    failed = limit(RLIMIT_NPROC, spec.max_processes, "limit processes");
  if (failed == nullptr && spec.cpu_seconds > 0)
    failed = limit(RLIMIT_CPU, spec.cpu_seconds, "limit processor time");
  return failed;
}

const char* drop_privileges(const LockdownSpec& spec) {
  if (spec.change_identity) {
    // KEEP_CAPS: the steps after the change of identity still need the namespace's capabilities.
    if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return "keep capabilities";
    if (::syscall(SYS_setgroups, 0, nullptr) != 0) return "drop groups";
    if (::syscall(SYS_setresgid, spec.gid, spec.gid, spec.gid) != 0) return "set group";
    if (::syscall(SYS_setresuid, spec.uid, spec.uid, spec.uid) != 0) return "set user";
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    data[0].permitted = data[0].effective = 1U << static_cast<unsigned>(CAP_SETPCAP);
    if (::syscall(SYS_capset, &header, data) != 0)
      return "keep the capability to drop capabilities";
  }
  // An ordinary user without a namespace has none to drop from; no_new_privs then stands alone.
  const bool may_forbid = spec.own_namespaces || spec.change_identity;
  const char* failed = may_forbid ? forbid_capabilities() : nullptr;
  if (failed == nullptr) failed = drop_capabilities();
  if (failed != nullptr) return failed;
  if (spec.undumpable && ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return "forbid debugging";
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? nullptr : "forbid new privileges";
}

}  // namespace symbiont::sandbox
