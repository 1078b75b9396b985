// The filter of any program: whatever a profile lists, what it must never let through it does not,
// and the kernel would take it. An input is a policy, then calls.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/bpf_for_test.h"
#include "sandbox/filter_assembler.h"
#include "sandbox/seccomp_filter.h"

namespace {

using namespace symbiont::sandbox;  // NOLINT(google-build-using-namespace): one program, one
                                    // subject

constexpr int kHighestNumber = 600;    // past the last one of any kernel so far
constexpr std::size_t kMaxCalls = 64;  // of one input

void require(bool truth) {
  if (!truth) std::abort();
}

bool contains(std::span<const int> numbers, int number) {
  return std::ranges::find(numbers, number) != numbers.end();
}

/// Little-endian numbers from the front of the input, 0 behind its end.
class Input {
 public:
  explicit Input(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  std::uint32_t take(std::size_t bytes) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < std::min(bytes, bytes_.size()); ++i)
      value |= static_cast<std::uint32_t>(bytes_[i]) << (8 * i);
    bytes_ = bytes_.subspan(std::min(bytes, bytes_.size()));
    return value;
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

/// Names by number, "#NNN" where there is no such call.
const std::vector<std::string>& call_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    names.reserve(kHighestNumber);
    for (int number = 0; number < kHighestNumber; ++number)
      names.push_back(syscall_name(number));
    return names;
  }();
  return kNames;
}

struct Listed {
  ProgramFilterOptions options;
  std::vector<int> numbers;  ///< of options.allowed
};

/// As long a list as a configuration may hold.
void repeat(std::vector<std::string>& names, bool wanted) {
  constexpr std::size_t kMaxNames = 4096;
  const std::size_t once = names.size();
  for (std::size_t i = 0; wanted && once > 0 && names.size() < kMaxNames; ++i)
    names.push_back(names[i]);
}

Listed take_policy(Input& input) {
  Listed policy;
  const std::uint32_t flags = input.take(1);
  policy.options.kill_on_violation = (flags & 1U) != 0;
  policy.options.notify = (flags & 2U) != 0;
  policy.options.report_files = policy.options.notify && (flags & 4U) != 0;
  policy.options.network = static_cast<symbiont::NetworkAccessMode>((flags >> 3U) % 3);
  for (std::uint32_t left = input.take(1); left > 0; --left) {
    const std::uint32_t number = input.take(2) % kHighestNumber;
    const std::string& name = call_names()[number];
    if (name.starts_with('#')) continue;
    policy.options.allowed.push_back(name);
    policy.numbers.push_back(static_cast<int>(number));
  }
  repeat(policy.options.allowed, (flags & 32U) != 0);
  return policy;
}

/// A byte says which of the parts are given: a foreign architecture, any number, high halves.
seccomp_data take_call(Input& input) {
  const std::uint32_t shape = input.take(1);
  seccomp_data call{};
  call.arch = (shape & 1U) != 0 ? input.take(4) : kAuditArch;
  call.nr = static_cast<int>((shape & 2U) != 0 ? input.take(4) : input.take(2) % kHighestNumber);
  for (std::uint32_t i = 0; i < (shape >> 3U) % 7; ++i) {
    call.args[i] = input.take(4);
    if ((shape & 4U) != 0) call.args[i] |= static_cast<std::uint64_t>(input.take(4)) << 32U;
  }
  return call;
}

/// What the kernel checks before it takes a filter; evaluate() relies on it too.
void check_program(const Filter& filter) {
  require(!filter.empty() && filter.size() <= BPF_MAXINSNS);
  require(filter.back().code == (BPF_RET | BPF_K));
  for (std::size_t at = 0; at < filter.size(); ++at) {
    const sock_filter& op = filter[at];
    switch (op.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        require(op.k % sizeof(std::uint32_t) == 0 && op.k < sizeof(seccomp_data));
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
      case BPF_JMP | BPF_JGE | BPF_K:
      case BPF_JMP | BPF_JSET | BPF_K:
        require(at + 1 + std::max(op.jt, op.jf) < filter.size());
        break;
      default:
        require(op.code == (BPF_RET | BPF_K) || op.code == (BPF_ALU | BPF_AND | BPF_K));
    }
  }
}

/// Back doors of the kernel that no ordinary program calls.
constexpr auto kNotWithoutAList = std::to_array<int>(
    {SYS_mount,           SYS_umount2,       SYS_pivot_root,       SYS_chroot,
     SYS_ptrace,          SYS_bpf,           SYS_process_vm_readv, SYS_process_vm_writev,
     SYS_pidfd_getfd,     SYS_kcmp,          SYS_perf_event_open,  SYS_userfaultfd,
     SYS_unshare,         SYS_setns,         SYS_open_tree,        SYS_move_mount,
     SYS_fsopen,          SYS_fsmount,       SYS_mount_setattr,    SYS_open_by_handle_at,
     SYS_add_key,         SYS_request_key,   SYS_keyctl,           SYS_init_module,
     SYS_finit_module,    SYS_delete_module, SYS_kexec_load,       SYS_memfd_create,
     SYS_process_madvise, SYS_reboot,        SYS_swapon,           SYS_quotactl});

/// What exec and our own start need, whatever the list.
constexpr auto kAlways =
    std::to_array<int>({SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_rt_sigreturn,
                        SYS_restart_syscall, SYS_sendmsg, SYS_close});

bool sets_ids(std::uint64_t mode) {
  return (mode & (S_ISUID | S_ISGID)) != 0;
}

bool is_forbidden_socket(symbiont::NetworkAccessMode network, const seccomp_data& call) {
  const auto family = static_cast<std::uint32_t>(call.args[0]);
  const auto protocol = static_cast<std::uint32_t>(call.args[2]);
  const bool internet = family == AF_INET || family == AF_INET6;
  switch (network) {
    case symbiont::NetworkAccessMode::None:
      return true;
    case symbiont::NetworkAccessMode::Restricted:
      return !internet || (call.args[1] & kSocketTypeMask) != SOCK_STREAM ||
             (protocol != 0 && protocol != IPPROTO_TCP);
    case symbiont::NetworkAccessMode::Full:
      return !internet && family != AF_NETLINK;
  }
  return true;
}

bool is_forbidden_clone(std::uint64_t flags) {
  constexpr std::uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                        CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  return (flags & kNamespaces) != 0 || (flags & CLONE_THREAD) == 0;
}

bool is_forbidden_ioctl(std::uint64_t request) {
  constexpr std::uint32_t kTiocsti = 0x5412;
  constexpr std::uint32_t kTioclinux = 0x541C;
  constexpr std::uint32_t kTiocsctty = 0x540E;
  const auto low = static_cast<std::uint32_t>(request);
  return low == kTiocsti || low == kTioclinux || low == kTiocsctty;
}

/// Whether no list may make the filter let `call` through.
bool is_forbidden(const ProgramFilterOptions& options, const seccomp_data& call) {
  switch (call.nr) {
    case SYS_clone3:
    case SYS_openat2:
    case SYS_io_uring_setup:
    case SYS_io_uring_enter:
    case SYS_io_uring_register:
    case SYS_memfd_secret:
    case SYS_sched_setaffinity:
    case SYS_sched_setattr:
    case SYS_fork:
    case SYS_vfork:
    case SYS_unshare:
    case SYS_setns:
    case SYS_mount:
    case SYS_umount2:
    case SYS_pivot_root:
    case SYS_chroot:
    case SYS_bpf:
    case SYS_keyctl:
    case SYS_init_module:
      return true;
    case SYS_creat:
    case SYS_chmod:
    case SYS_fchmod:
    case SYS_mknod:
      return sets_ids(call.args[1]);
    case SYS_open:
    case SYS_fchmodat:
    case SYS_mknodat:
      return sets_ids(call.args[2]);
    case SYS_openat:
      return sets_ids(call.args[3]);
    case SYS_clone:
      return is_forbidden_clone(call.args[0]);
    case SYS_ioctl:
      return is_forbidden_ioctl(call.args[1]);
    case SYS_socket:
      return is_forbidden_socket(options.network, call);
    case SYS_socketpair: {
      const std::uint64_t type = call.args[1] & kSocketTypeMask;
      return static_cast<std::uint32_t>(call.args[0]) != AF_UNIX ||
             (type != SOCK_STREAM && type != SOCK_SEQPACKET);
    }
    case SYS_personality:
      return call.args[0] != 0 && call.args[0] != 0xffffffff;
    default:
      return false;
  }
}

void check_call(const Listed& policy, const Filter& filter, const seccomp_data& call) {
  const std::uint32_t answer = evaluate(filter, call);
  if (call.arch != kAuditArch || static_cast<std::uint32_t>(call.nr) >= kX32Bit) {
    require(answer == SECCOMP_RET_KILL_PROCESS);
    return;
  }
  const std::uint32_t action = answer & SECCOMP_RET_ACTION_FULL;
  require(answer != SECCOMP_RET_KILL_PROCESS ||
          (policy.options.kill_on_violation && !policy.options.notify));
  require(action != SECCOMP_RET_USER_NOTIF || policy.options.notify);
  if (action == SECCOMP_RET_ERRNO) require((answer & SECCOMP_RET_DATA) != 0);
  if (action != SECCOMP_RET_ALLOW) return;
  require(!is_forbidden(policy.options, call));
  if (policy.options.allowed.empty()) {
    require(call.nr < kHighestNumber && !contains(kNotWithoutAList, call.nr));
  } else {
    require(contains(policy.numbers, call.nr) || contains(kAlways, call.nr));
  }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer looks for
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(std::span(data, size));
  const Listed policy = take_policy(input);
  const Filter filter = build_program_filter(policy.options);
  check_program(filter);
  for (std::size_t calls = 0; calls < kMaxCalls && !input.empty(); ++calls)
    check_call(policy, filter, take_call(input));
  return 0;
}
