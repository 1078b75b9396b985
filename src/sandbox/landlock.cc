#include "sandbox/landlock.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

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
constexpr std::uint64_t kAccessReadFile = 1U << 2U;
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

}  // namespace

int landlock_abi() {
  const auto abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kCreateRulesetVersion);
  return abi < 0 ? 0 : static_cast<int>(abi);
}

int landlock_deny_all(int executable_fd) {
  const int abi = landlock_abi();
  if (abi == 0) {
    errno = ENOSYS;
    return -1;
  }
  const RulesetAttr attr{fs_rights(abi), abi >= 4 ? kAccessNet : 0, abi >= 6 ? kScoped : 0};
  std::size_t size = sizeof(std::uint64_t);
  if (abi >= 4) size += sizeof(std::uint64_t);
  if (abi >= 6) size += sizeof(std::uint64_t);
  const int ruleset = static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attr, size, 0));
  if (ruleset < 0) return -1;
  long result = 0;  // NOLINT(google-runtime-int): syscall's type
  if (executable_fd >= 0) {
    const PathBeneathAttr rule{kAccessExecute | kAccessReadFile, executable_fd};
    result = ::syscall(SYS_landlock_add_rule, ruleset, kRulePathBeneath, &rule, 0);
  }
  if (result == 0) result = ::syscall(SYS_landlock_restrict_self, ruleset, 0);
  const int saved = errno;
  ::close(ruleset);
  errno = saved;
  return result == 0 ? 0 : -1;
}

}  // namespace symbiont::sandbox
