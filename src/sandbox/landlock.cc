#include "sandbox/landlock.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "sandbox/child.h"

namespace symbiont::sandbox {
namespace {

// From linux/landlock.h of kernel 6.12; Debian 12's header is older than the kernels this runs on.
struct RulesetAttr {
  std::uint64_t handled_access_fs;
  std::uint64_t handled_access_net;
  std::uint64_t scoped;
};
struct __attribute__((packed)) PathBeneathAttr {
  std::uint64_t allowed_access;
  std::int32_t parent_fd;
};
constexpr std::uint64_t kAccessExecute = 1U << 0U;
constexpr std::uint64_t kAccessWriteFile = 1U << 1U;
constexpr std::uint64_t kAccessReadFile = 1U << 2U;
constexpr std::uint64_t kAccessReadDir = 1U << 3U;
constexpr std::uint64_t kAccessTruncate = 1U << 14U;
constexpr std::uint64_t kAccessIoctlDev = 1U << 15U;
constexpr std::uint64_t kAccessOfFiles =
    kAccessExecute | kAccessWriteFile | kAccessReadFile | kAccessTruncate | kAccessIoctlDev;
constexpr std::uint64_t kAccessFsAbi1 = (1U << 13U) - 1;
constexpr std::uint64_t kAccessNet = 3;  // bind, connect
constexpr std::uint64_t kScoped = 3;     // abstract sockets, signals
constexpr unsigned kCreateRulesetVersion = 1;
constexpr int kRulePathBeneath = 1;

// Rights added by later versions: 2 refer, 3 truncate, 5 ioctl on devices.
std::uint64_t fs_rights(int abi) {
  std::uint64_t rights = kAccessFsAbi1;
  if (abi >= 2) rights |= 1U << 13U;
  if (abi >= 3) rights |= 1U << 14U;
  if (abi >= 5) rights |= 1U << 15U;
  return rights;
}

/// A ruleset that denies all this kernel's version knows; negative on failure.
int make_ruleset(int abi, bool deny_network) {
  if (abi == 0) {
    errno = ENOSYS;
    return -1;
  }
  const RulesetAttr attr{fs_rights(abi), abi >= 4 && deny_network ? kAccessNet : 0,
                         abi >= 6 ? kScoped : 0};
  std::size_t size = sizeof(std::uint64_t);
  if (abi >= 4) size += sizeof(std::uint64_t);
  if (abi >= 6) size += sizeof(std::uint64_t);
  return static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attr, size, 0));
}

int add_rule(int ruleset, int fd, std::uint64_t access) {
  const PathBeneathAttr rule{access, fd};
  return static_cast<int>(::syscall(SYS_landlock_add_rule, ruleset, kRulePathBeneath, &rule, 0));
}

/// Takes the ruleset and closes it, keeping errno.
int restrict_self(int ruleset, bool complete) {
  const bool ok = complete && ::syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
  const int saved = errno;
  ::close(ruleset);
  errno = saved;
  return ok ? 0 : -1;
}

std::uint64_t rights_of(const PlannedEntry& entry, int abi) {
  std::uint64_t rights = kAccessReadFile | kAccessReadDir;
  if (entry.kind == ViewKind::Device || entry.kind == ViewKind::Proc)
    rights |= kAccessWriteFile | kAccessTruncate | kAccessIoctlDev;
  if (entry.writable) rights |= ~(kAccessExecute | kAccessIoctlDev);
  if (entry.executable) rights |= kAccessExecute;
  rights &= fs_rights(abi);
  return entry.directory ? rights : rights & kAccessOfFiles;
}

int add_path(int ruleset, const char* path, std::uint64_t rights) {
  // Links were resolved when the view was made; one that appeared since is not followed.
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const int fd = static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how));
  const int result = fd < 0 ? -1 : add_rule(ruleset, fd, rights);
  const int saved = errno;
  if (fd >= 0) ::close(fd);
  errno = saved;
  return result;
}

}  // namespace

int landlock_abi() {
  const auto abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kCreateRulesetVersion);
  return abi < 0 ? 0 : static_cast<int>(abi);
}

int landlock_deny_all(int executable_fd) {
  const int ruleset = make_ruleset(landlock_abi(), true);
  if (ruleset < 0) return -1;
  const bool complete =
      executable_fd < 0 || add_rule(ruleset, executable_fd, kAccessExecute | kAccessReadFile) == 0;
  return restrict_self(ruleset, complete);
}

int landlock_view(std::span<const PlannedEntry> view, bool deny_network, bool host_tree) {
  const int abi = landlock_abi();
  const int ruleset = make_ruleset(abi, deny_network);
  if (ruleset < 0) return -1;
  // The directories that lead to what is shown may be listed: they are ours and hold nothing else.
  bool complete = host_tree || add_path(ruleset, "/", kAccessReadDir) == 0;
  for (const PlannedEntry& entry : view) {
    if (!complete) break;
    if (entry.kind == ViewKind::Symlink || entry.kind == ViewKind::Cover) continue;
    complete = add_path(ruleset, entry.target, rights_of(entry, abi)) == 0;
    // In the host's tree the identity may be kept from it already.
    if (!complete && errno == EACCES && host_tree) complete = true;
  }
  return restrict_self(ruleset, complete);
}

}  // namespace symbiont::sandbox
