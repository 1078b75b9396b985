#include "sandbox/start.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>
#include <sstream>
#include <vector>

#include "base/file.h"
#include "sandbox/child.h"
#include "sandbox/own_mounts.h"
#include "sandbox/prepared_tree.h"
#include "sandbox/seccomp_filter.h"

namespace symbiont::sandbox {
namespace {

// Pid 1, the program, and one thread of the C library.
constexpr std::uint32_t kProcessSlack = 3;
constexpr std::uint32_t kProgramDescriptors = 1024;
constexpr int kSetupMilliseconds = 10'000;  // a hanging file system must not stop the launcher
constexpr int kRootInodes = 4096;

using Failure = std::unexpected<StartFailure>;

Failure failed(std::string step, int error_number = errno) {
  return Failure(StartFailure{std::move(step), error_number});
}

LockdownSpec lockdown_spec(const Policy& policy, const HostFacts& host) {
  LockdownSpec spec;
  spec.uid = kInsideId;
  spec.gid = kInsideId;
  spec.change_identity = host.privileged;
  spec.scratch_bytes = policy.scratch_bytes;
  spec.scratch_inodes = policy.scratch_inodes;
  spec.max_file_bytes = policy.max_file_bytes;
  spec.data_bytes = host.cgroups.has("memory") ? 0 : policy.memory_bytes;
  spec.cpu_seconds = policy.cpu_seconds;
  // RLIMIT_NPROC counts the whole user: only an identity of the worker's own makes it mean this
  // worker.
  spec.max_processes =
      host.privileged ? policy.threads + policy.child_processes + kProcessSlack : 0;
  spec.undumpable = policy.undumpable;
  spec.kill_on_violation = policy.kill_on_violation;
  spec.landlock = host.landlock_abi > 0;
  if (policy.root == RootKind::View) spec.max_descriptors = kProgramDescriptors;
  if (policy.root == RootKind::View) return spec;
  for (const auto& name : policy.allowed_syscalls) {
    if (const auto number = syscall_number(name)) spec.extra_syscalls.push_back(*number);
  }
  return spec;
}

/// The one child of pid 1, as this process numbers it.
pid_t child_of(pid_t init) {
  const std::string path =
      "/proc/" + std::to_string(init) + "/task/" + std::to_string(init) + "/children";
  const auto text = read_file(path, 4096);
  pid_t child = -1;
  if (text.has_value()) std::istringstream(*text) >> child;
  return child;
}

/// CPUs for a limit of whole cores when no quota can be set: as many as asked, starting at a place
/// that rotates.
cpu_set_t choose_cpus(double cores, pid_t rotate) {
  cpu_set_t available;
  CPU_ZERO(&available);
  if (::sched_getaffinity(0, sizeof available, &available) != 0) return available;
  std::vector<std::size_t> cpus;
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &available)) cpus.push_back(cpu);
  }
  const auto wanted = std::min(cpus.size(), static_cast<std::size_t>(std::ceil(cores)));
  cpu_set_t chosen;
  CPU_ZERO(&chosen);
  for (std::size_t i = 0; i < wanted; ++i) {
    CPU_SET(cpus[(static_cast<std::size_t>(rotate) + i) % cpus.size()], &chosen);
  }
  return chosen;
}

/// Writes a plan into the memory that a waiting child shares.
class Planner {
 public:
  Planner(const Policy& policy, const HostFacts& host, PreparedTree& tree)
      : policy_(policy), host_(host), tree_(tree), arena_(tree.arena()), plan_(tree.plan()) {}

  /// False when the arena is full.
  bool write(bool control) {
    const LockdownSpec spec = lockdown_spec(policy_, host_);
    plan_.root = policy_.root;
    plan_.nice = policy_.nice;
    plan_.control = control;
    plan_.keep_capabilities = !host_.privileged;
    plan_.read_only_root = policy_.scratch_bytes == 0;
    if (!host_.cgroups.has("cpu"))
      plan_.affinity = arena_.put(choose_cpus(policy_.cpu_cores, tree_.init_pid()));
    write_command(spec);
    if (policy_.root == RootKind::View) write_view();
    write_filter(spec);
    write_spec(spec);
    return !arena_.overflowed();
  }

 private:
  // The child needs no list of system calls: its filter is made here.
  void write_spec(LockdownSpec spec) {
    std::vector<int>().swap(spec.extra_syscalls);
    auto* room = arena_.room<std::byte>(sizeof(LockdownSpec) + alignof(LockdownSpec));
    if (room == nullptr) return;
    void* at = room;
    std::size_t space = sizeof(LockdownSpec) + alignof(LockdownSpec);
    plan_.spec = new (std::align(alignof(LockdownSpec), sizeof(LockdownSpec), at, space))
        LockdownSpec(std::move(spec));
  }

  std::span<char* const> words(const std::vector<std::string>& from) {
    std::vector<char*> pointers;
    for (const std::string& word : from)
      pointers.push_back(const_cast<char*>(arena_.put_text(word)));  // NOLINT: exec's type
    pointers.push_back(nullptr);
    return arena_.put_all(std::span<char* const>(pointers));
  }

  void write_command(const LockdownSpec& spec) {
    if (policy_.root == RootKind::View) {
      plan_.argv = words(policy_.arguments);
      plan_.envp = words(policy_.environment);
      plan_.program = arena_.put_text(policy_.program.string());
      plan_.working_directory = arena_.put_text(policy_.working_directory);
      plan_.failed_exec = arena_.put_text("execute '" + policy_.program.string() + "'");
      return;
    }
    std::vector<std::string> arguments = policy_.arguments;
    arguments.insert(arguments.begin(), policy_.program.filename().string());
    plan_.argv = words(arguments);
    std::vector<std::string> environment;
    if (policy_.root == RootKind::EmptyAfterExec)
      environment.push_back(std::string(kLockdownVariable) + "=" + encode(spec));
    plan_.envp = words(environment);
    plan_.mount_data =
        arena_.put_text(tmpfs(policy_.scratch_bytes, policy_.scratch_inodes, "0700"));
  }

  static std::string tmpfs(std::uint64_t bytes, std::uint64_t inodes, std::string_view mode) {
    constexpr std::uint64_t kMinBytes = 4096;
    return "size=" + std::to_string(std::max(bytes, kMinBytes)) +
           ",nr_inodes=" + std::to_string(inodes) + ",mode=" + std::string(mode);
  }

  void write_view() {
    std::vector<PlannedEntry> entries;
    for (const ViewEntry& from : policy_.view) {
      PlannedEntry& entry = entries.emplace_back();
      entry.kind = from.kind;
      entry.source = arena_.put_text(from.source);
      entry.target = arena_.put_text(from.target);
      entry.failed = arena_.put_text("show '" + from.target + "'");
      entry.directory = from.directory;
      entry.writable = from.writable;
      entry.executable = from.executable;
      entry.own = from.own && host_.privileged;
    }
    plan_.view = arena_.put_all(std::span<const PlannedEntry>(entries));
    plan_.mount_data = arena_.put_text(tmpfs(0, kRootInodes, "0755"));
    if (policy_.scratch_bytes > 0)
      plan_.scratch_data =
          arena_.put_text(tmpfs(policy_.scratch_bytes, policy_.scratch_inodes, "1777"));
    plan_.relay = policy_.network == NetworkAccessMode::Restricted;
    plan_.landlock_network = policy_.network == NetworkAccessMode::None;
    plan_.notify = true;
  }

  void write_filter(const LockdownSpec& spec) {
    Filter filter;
    if (policy_.root == RootKind::EmptyBeforeExec) {
      filter = build_filter({Phase::Program, policy_.kill_on_violation, spec.extra_syscalls});
    } else if (policy_.root == RootKind::View) {
      filter = build_program_filter({policy_.kill_on_violation, true, policy_.report_files,
                                     policy_.network, policy_.allowed_syscalls});
    }
    plan_.filter = arena_.put_all(std::span<const sock_filter>(filter));
  }

  const Policy& policy_;
  const HostFacts& host_;
  PreparedTree& tree_;
  SharedArena& arena_;
  ChildPlan& plan_;
};

/// One report of the child; empty at the end of file.
std::expected<std::optional<std::pair<StepReport, UniqueFd>>, StartFailure> read_report(
    int channel) {
  pollfd ready{channel, POLLIN, 0};
  int count = 0;
  do {
    count = ::poll(&ready, 1, kSetupMilliseconds);
  } while (count < 0 && errno == EINTR);
  if (count == 0) return failed("wait for the child's setup", ETIMEDOUT);
  StepReport report;
  iovec data{&report, sizeof report};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t bytes = ::recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
  if (bytes == 0) return std::nullopt;
  if (bytes != sizeof report) return failed("hear from the child");
  UniqueFd fd;
  const cmsghdr* part = CMSG_FIRSTHDR(&message);
  if (part != nullptr && part->cmsg_type == SCM_RIGHTS) {
    int number = -1;
    std::memcpy(&number, CMSG_DATA(part), sizeof number);
    fd.reset(number);
  }
  return std::pair(report, std::move(fd));
}

/// Takes what the child hands over until its exec closes the channel.
std::expected<void, StartFailure> follow_setup(int channel, ConfinedProcess& process) {
  while (true) {
    auto next = read_report(channel);
    if (!next.has_value()) return std::unexpected(std::move(next).error());
    if (!next->has_value()) return {};
    auto& [report, fd] = **next;
    switch (report.kind) {
      case StepKind::Failed:
        return failed(report.step == nullptr ? "" : report.step, report.sys_errno);
      case StepKind::Relay:
        process.relay = std::move(fd);
        break;
      case StepKind::Scratch:
        process.scratch = std::move(fd);
        break;
      case StepKind::Notifications:
        process.notifications = std::move(fd);
        break;
    }
  }
}

CgroupLimits limits_of(const Policy& policy) {
  return {policy.memory_bytes, policy.cpu_cores,
          policy.threads + policy.child_processes + kProcessSlack, policy.io_bytes_per_second,
          policy.io_devices};
}

}  // namespace

Error StartFailure::to_error() const {
  return errno_error("start a confined process: " + step, sys_errno);
}

std::expected<ConfinedProcess, StartFailure> start_confined(const Policy& policy,
                                                            const HostFacts& host,
                                                            PreparedTree tree,
                                                            ProgramFds fds) {
  if (const Status limited = tree.cgroup().set_limits(limits_of(policy)); !limited.has_value())
    return failed(limited.error().message(), limited.error().sys_errno());
  if (!Planner(policy, host, tree).write(fds.control.is_valid()))
    return failed("write the plan", ENOMEM);
  const std::vector<UniqueFd> own = open_own_trees(tree.plan().view, tree.outside_id());
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.is_valid()) return failed("open '/dev/null'");
  std::vector<int> passed;
  for (const UniqueFd* fd : {&fds.program, &fds.control, &fds.in, &fds.out, &fds.err})
    passed.push_back(fd->is_valid() ? fd->get() : null.get());
  for (const UniqueFd& mount : own)
    passed.push_back(mount.get());
  if (const Status went = tree.go(passed); !went.has_value())
    return failed(went.error().message(), went.error().sys_errno());
  ConfinedProcess process;
  SYMBIONT_TRY_STATUS(follow_setup(tree.channel(), process));
  ConfinedProcess owner = tree.release();
  owner.relay = std::move(process.relay);
  owner.scratch = std::move(process.scratch);
  owner.notifications = std::move(process.notifications);
  owner.program_pid = child_of(owner.init_pid);
  owner.program_pidfd.reset(
      static_cast<int>(::syscall(SYS_pidfd_open, owner.program_pid, 0)));  // gone: it has ended
  return owner;
}

}  // namespace symbiont::sandbox
