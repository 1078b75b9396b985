#include "sandbox/child.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <optional>

#include <net/if.h>

#include "sandbox/confine.h"
#include "sandbox/init.h"
#include "sandbox/landlock.h"
#include "sandbox/lockdown.h"
#include "sandbox/root_builder.h"
#include "sandbox/seccomp_filter.h"
#include "sandbox/start.h"

namespace symbiont::sandbox {
namespace {

constexpr int kChannelFd = 9;  // what comes with the plan lies above it

[[noreturn]] void give_up(int channel, const char* step) {
  const StepReport report{StepKind::Failed, step, errno};
  // Nothing can be done about a failed report: the launcher then sees an early end without a step.
  if (::write(channel, &report, sizeof report) < 0) ::_exit(kSetupFailed);
  ::_exit(kSetupFailed);
}

/// Ends the process at the first step that fails.
class Steps {
 public:
  explicit Steps(int channel) : channel_(channel) {}
  void must(const char* failed_step) const {
    if (failed_step != nullptr) give_up(channel_, failed_step);
  }
  void must_call(long result, const char* step) const {  // NOLINT(google-runtime-int): syscall's
    if (result < 0) give_up(channel_, step);
  }
  /// Sends a descriptor to the launcher and keeps no copy.
  void hand_over(StepKind kind, int fd, const char* step) const {
    must_call(fd, step);
    StepReport report{kind, nullptr, 0};
    iovec data{&report, sizeof report};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(part), &fd, sizeof fd);
    must_call(::sendmsg(channel_, &message, MSG_NOSIGNAL), "hand a descriptor to the launcher");
    ::close(fd);
  }
  /// Says that every control is in place and waits until the launcher has seen it from outside.
  void await_proof() const {
    const StepReport report{StepKind::Confined, nullptr, 0};
    must_call(::write(channel_, &report, sizeof report), "ask for the proof");
    char seen = 0;
    ssize_t count = 0;
    do {
      count = ::read(channel_, &seen, 1);
    } while (count < 0 && errno == EINTR);
    if (count != 1) ::_exit(kSetupFailed);  // the launcher died or refuses
  }
  [[nodiscard]] int channel() const { return channel_; }

 private:
  int channel_;
};

/// Leaves 0..2 and the channel, which moves to kChannelFd; fills the numbers between, so that what
/// comes with the plan is never in the way of 0..3.
void clear_descriptors(const InitPlan& init) {
  const Steps steps(init.channel_fd);
  steps.must_call(::dup2(init.channel_fd, kChannelFd), "move the channel");
  steps.must_call(::syscall(SYS_close_range, kChannelFd + 1, ~0U, 0U), "close descriptors");
  for (int number = 3; number < kChannelFd; ++number)
    Steps(kChannelFd).must_call(::dup2(0, number), "fill descriptors");
}

/// Waits for the go message. Its descriptors come in the order of PlanFd, then those of the view.
void receive_plan(const Steps& steps, std::span<int, PlanFds> fds, const ChildPlan* plan) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * (PlanFds + kMaxViewEntries))];
  char go = 0;
  iovec data{&go, 1};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t count = 0;
  do {
    count = ::recvmsg(steps.channel(), &message, MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count != 1) ::_exit(kSetupFailed);  // the launcher died or gave up
  const cmsghdr* part = CMSG_FIRSTHDR(&message);
  if (part == nullptr || (message.msg_flags & MSG_CTRUNC) != 0) {
    errno = EBADMSG;
    give_up(steps.channel(), "receive the plan");
  }
  const auto* bytes = CMSG_DATA(part);
  std::memcpy(fds.data(), bytes, fds.size_bytes());
  bytes += fds.size_bytes();
  for (PlannedEntry& entry : plan->view) {
    if (!entry.from_launcher) continue;
    std::memcpy(&entry.tree, bytes, sizeof(int));
    bytes += sizeof(int);
  }
}

void attach_descriptors(const Steps& steps, std::span<const int, PlanFds> fds, bool control) {
  steps.must_call(::dup2(fds[PlanIn], 0), "attach standard input");
  steps.must_call(::dup2(fds[PlanOut], 1), "attach standard output");
  steps.must_call(::dup2(fds[PlanErr], 2), "attach standard error");
  if (control) steps.must_call(::dup2(fds[PlanControl], kControlFd), "attach the control socket");
  const unsigned first = control ? kControlFd + 1 : kControlFd;
  steps.must_call(::syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC), "close descriptors");
}

/// Capabilities survive exec of an unprivileged identity only as ambient ones; the worker needs
/// them to lock itself in.
void keep_capabilities_over_exec(const Steps& steps) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  steps.must_call(::syscall(SYS_capget, &header, data), "read capabilities");
  for (auto& set : data)
    set.inheritable = set.permitted;
  steps.must_call(::syscall(SYS_capset, &header, data), "make capabilities inheritable");
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    steps.must_call(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0),
                    "keep capabilities over exec");
  }
}

/// The end of the network namespace that the broker listens at.
int make_relay_socket() {
  const int up = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (up < 0 || ::ioctl(up, SIOCSIFFLAGS, &request) != 0) return -1;
  ::close(up);
  constexpr int kBacklog = 128;
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kProxyPort);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the sockets interface
  const auto* any = reinterpret_cast<const sockaddr*>(&address);
  if (listener < 0 || ::bind(listener, any, sizeof address) != 0 ||
      ::listen(listener, kBacklog) != 0)
    return -1;
  return listener;
}

/// Root, limits, privileges and Landlock of a program that does not lock itself in.
void confine_program(const Steps& steps, const ChildPlan& plan, int program_fd) {
  if (plan.root == RootKind::View) {
    if (plan.own_root) {
      steps.must(open_trees(plan.view));
      if (plan.relay)
        steps.hand_over(StepKind::Relay, make_relay_socket(), "make the proxy's socket");
      steps.must(enter_view(plan.view, plan.mount_data, plan.scratch_data));
    }
    if (plan.scratch_data != nullptr)
      steps.hand_over(StepKind::Scratch, ::open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC),
                      "open the temporary files");
    steps.must_call(::chdir(plan.working_directory), "enter the working directory");
  } else if (plan.own_root) {
    steps.must(enter_empty_root(plan.mount_data, plan.read_only_root));
  }
  steps.must(apply_rlimits(*plan.spec));
  steps.must(drop_privileges(*plan.spec));
  if (!plan.spec->landlock) return;
  const int restricted = plan.root == RootKind::View
                             ? landlock_view(plan.view, plan.landlock_network, !plan.own_root)
                             : landlock_deny_all(program_fd);
  steps.must_call(restricted, "restrict by Landlock");
}

/// Late: the start itself is not to be slower for it. Before the filter, which may forbid it. A
/// better one than the launcher's own is not for this namespace to take: see raise_priority().
void set_priority(const Steps& steps, const ChildPlan& plan) {
  if (plan.nice <= ::getpriority(PRIO_PROCESS, 0)) return;
  steps.must_call(::setpriority(PRIO_PROCESS, 0, plan.nice), "set priority");
}

/// Here and not in the launcher: in version 1 the first of them waits for a grace period of the
/// kernel, for many milliseconds on a busy machine.
void join_groups(const Steps& steps, std::span<const int> entrances) {
  for (const int entrance : entrances)
    steps.must_call(::write(entrance, "0", 1), "join a control group");
}

[[noreturn]] void run_program(const InitPlan& init, const ChildPlan* shared) {
  clear_descriptors(init);
  const Steps steps(kChannelFd);
  int fds[PlanFds] = {};
  receive_plan(steps, fds, shared);
  const ChildPlan& plan = *shared;
  if (plan.affinity != nullptr) {
    steps.must_call(::sched_setaffinity(0, sizeof *plan.affinity, plan.affinity), "set affinity");
  }
  steps.must_call(::setsid(), "start a session");
  sigset_t none;
  sigemptyset(&none);
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the child of a single-threaded process
  steps.must_call(::sigprocmask(SIG_SETMASK, &none, nullptr), "unblock signals");
  (void)::signal(SIGPIPE, SIG_DFL);  // the launcher ignores it, and exec would keep that
  (void)::umask(022);
  attach_descriptors(steps, fds, plan.control);
  if (plan.root == RootKind::EmptyAfterExec) {
    if (plan.keep_capabilities) keep_capabilities_over_exec(steps);
    set_priority(steps, plan);
  } else {
    confine_program(steps, plan, fds[PlanProgram]);
    set_priority(steps, plan);
    if (plan.notify) {
      steps.hand_over(StepKind::Notifications, install_filter_with_listener(plan.filter),
                      "install the system call filter");
    } else {
      steps.must_call(install_filter(plan.filter), "install the system call filter");
    }
  }
  if (plan.root == RootKind::View) {
    steps.await_proof();
    // By name: a script's interpreter has to open it, and this name leads into the view only.
    ::execve(plan.program, plan.argv.data(), plan.envp.data());
    give_up(kChannelFd, plan.failed_exec);
  }
  ::syscall(SYS_execveat, fds[PlanProgram], "", plan.argv.data(), plan.envp.data(), AT_EMPTY_PATH);
  give_up(kChannelFd, "execute the program");
}

}  // namespace

void run_init(const InitPlan& init, const ChildPlan* plan) {
  const Steps steps(init.channel_fd);
  steps.must(tie_to_launcher(init));
  join_groups(steps, init.group_fds);
  char mapped = 0;
  if (::read(init.channel_fd, &mapped, 1) != 1) ::_exit(kSetupFailed);  // it died or gave up
  if (init.own_namespaces) steps.must(enter_namespaces(init));
  const auto program =
      static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  steps.must_call(program, "start the program's process");
  if (program == 0) run_program(init, plan);
  std::optional<uid_t> identity;
  if (init.privileged) identity = outside_id_of(::getpid());
  steps.must(settle_init(init));
  attend_program(init, identity, program);
}

}  // namespace symbiont::sandbox
