#include "sandbox/start.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <vector>

#include "base/file.h"
#include "sandbox/child.h"
#include "sandbox/own_mounts.h"
#include "sandbox/planner.h"
#include "sandbox/prepared_tree.h"
#include "sandbox/proof.h"

namespace symbiont::sandbox {
namespace {

constexpr int kSetupMilliseconds = 10'000;  // a hanging file system must not stop the launcher

using Failure = std::unexpected<StartFailure>;

Failure failed(std::string step, int error_number = errno) {
  return Failure(StartFailure{std::move(step), error_number});
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
  ssize_t bytes = 0;
  do {
    bytes = ::recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
    // Once, when the other end closed with something unread: what it said before comes after it.
  } while (bytes < 0 && errno == ECONNRESET);
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

/// Compares the process, confined but not yet the program, with the policy, and lets it go on.
std::expected<void, StartFailure> prove(const Policy& policy,
                                        const HostFacts& host,
                                        const PreparedTree& tree,
                                        pid_t program) {
  const std::string group = host.cgroups.has("memory") ? tree.group() : std::string();
  const auto items =
      collect_proof(expect_confined(policy, program, {host.privileged, host.namespaces, group}));
  if (!items.has_value()) return failed(items.error().message(), items.error().sys_errno());
  if (const Status held = check_proof(*items); !held.has_value())
    return failed(held.error().message(), EPERM);
  if (::send(tree.channel(), "p", 1, MSG_NOSIGNAL) != 1) return failed("let the program begin");
  return {};
}

/// A negative priority: only the host's own CAP_SYS_NICE gives one.
std::expected<void, StartFailure> raise_priority(const Policy& policy, pid_t program) {
  if (policy.nice >= 0) return {};
  if (::setpriority(PRIO_PROCESS, static_cast<id_t>(program), policy.nice) == 0) return {};
  return failed("raise the priority to " + std::to_string(policy.nice) +
                ", which takes CAP_SYS_NICE");
}

/// Takes what the child hands over until its exec closes the channel.
std::expected<void, StartFailure> follow_setup(const Policy& policy,
                                               const HostFacts& host,
                                               const PreparedTree& tree,
                                               ConfinedProcess& process) {
  while (true) {
    auto next = read_report(tree.channel());
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
      case StepKind::Confined:
        process.program_pid = child_of(tree.init_pid());
        SYMBIONT_TRY_STATUS(raise_priority(policy, process.program_pid));
        SYMBIONT_TRY_STATUS(prove(policy, host, tree, process.program_pid));
        break;
    }
  }
}

/// What pid 1 said of its end, or else `found`.
StartFailure why_it_ended(const PreparedTree& tree, const Error& found) {
  const auto said = read_report(tree.channel());
  if (said.has_value() && said->has_value() && (*said)->first.kind == StepKind::Failed &&
      (*said)->first.step != nullptr) {
    return {(*said)->first.step, (*said)->first.sys_errno};
  }
  return {found.message(), found.sys_errno()};
}

std::expected<void, StartFailure> set_limits(const Policy& policy, const PreparedTree& tree) {
  const CgroupLimits limits{policy.memory_bytes, policy.cpu_cores,
                            policy.threads + policy.child_processes + kProcessSlack,
                            policy.io_bytes_per_second, policy.io_devices};
  if (const Status set = tree.cgroup().set_limits(limits); !set.has_value())
    return failed(set.error().message(), set.error().sys_errno());
  return {};
}

}  // namespace

Error StartFailure::to_error() const {
  return errno_error("start a confined process: " + step, sys_errno);
}

std::expected<ConfinedProcess, StartFailure> start_confined(const Policy& policy,
                                                            const HostFacts& host,
                                                            PreparedTree tree,
                                                            const ProgramFds& fds) {
  if (!write_plan(policy, host, tree, fds.control.is_valid()))
    return failed("write the plan", ENOMEM);
  return start_planned(policy, host, std::move(tree), fds);
}

std::expected<ConfinedProcess, StartFailure> start_planned(const Policy& policy,
                                                           const HostFacts& host,
                                                           PreparedTree tree,
                                                           const ProgramFds& fds) {
  // A program that waits for the proof gets its limits while it builds its root.
  const bool awaits_proof = policy.root == RootKind::View;
  if (!awaits_proof) SYMBIONT_TRY_STATUS(set_limits(policy, tree));
  const std::vector<UniqueFd> own = open_own_trees(tree);
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.is_valid()) return failed("open '/dev/null'");
  std::vector<int> passed;
  for (const UniqueFd* fd : {&fds.program, &fds.control, &fds.in, &fds.out, &fds.err})
    passed.push_back(fd->is_valid() ? fd->get() : null.get());
  for (const UniqueFd& mount : own)
    passed.push_back(mount.get());
  if (const Status went = tree.go(passed); !went.has_value())
    return Failure(why_it_ended(tree, went.error()));
  if (awaits_proof) SYMBIONT_TRY_STATUS(set_limits(policy, tree));
  ConfinedProcess process;
  SYMBIONT_TRY_STATUS(follow_setup(policy, host, tree, process));
  if (!awaits_proof) {
    process.program_pid = child_of(tree.init_pid());
    SYMBIONT_TRY_STATUS(raise_priority(policy, process.program_pid));
  }
  ConfinedProcess owner = tree.release();
  owner.relay = std::move(process.relay);
  owner.scratch = std::move(process.scratch);
  owner.notifications = std::move(process.notifications);
  owner.program_pid = process.program_pid;
  owner.program_pidfd.reset(
      static_cast<int>(::syscall(SYS_pidfd_open, owner.program_pid, 0)));  // gone: it has ended
  return owner;
}

}  // namespace symbiont::sandbox
