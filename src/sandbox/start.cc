#include "sandbox/start.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <memory>
#include <sstream>
#include <vector>

#include "base/file.h"
#include "sandbox/child.h"
#include "sandbox/landlock.h"
#include "sandbox/seccomp_filter.h"

namespace symbiont::sandbox {
namespace {

// The identity inside. As root, the one outside is a range of its own that no account uses
// (systemd's container range starts at 524288, dynamic users end at 65519); each worker of a
// launcher gets another.
constexpr uid_t kInsideId = 1000;
constexpr uid_t kOutsideBase = 2'000'000'000;
constexpr uid_t kOutsideCount =
    4'194'304;  // the highest pid_max (PID_MAX_LIMIT): pids tell workers apart
constexpr std::uint64_t kScratchInodes = 1024;
constexpr std::uint32_t kProcessSlack = 3;  // pid 1, the program, and one thread of the C library
constexpr int kFirstHighFd = 10;

using Failure = std::unexpected<StartFailure>;

Failure failed(std::string step, int error_number = errno) {
  return Failure(StartFailure{std::move(step), error_number});
}

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

/// Descriptors above kFirstHighFd, so that the child can lay out 0..3 without stepping on them.
std::expected<UniqueFd, StartFailure> high(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, kFirstHighFd));
  if (!copy.is_valid()) return failed("duplicate a descriptor");
  return copy;
}

std::expected<Pipe, StartFailure> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return failed("make a pipe");
  const UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  SYMBIONT_TRY(UniqueFd high_read, high(read_end.get()));
  SYMBIONT_TRY(UniqueFd high_write, high(write_end.get()));
  return Pipe{std::move(high_read), std::move(high_write)};
}

LockdownSpec lockdown_spec(const Policy& policy, const HostFacts& host) {
  LockdownSpec spec;
  spec.uid = kInsideId;
  spec.gid = kInsideId;
  spec.change_identity = host.privileged;
  spec.scratch_bytes = policy.scratch_bytes;
  spec.scratch_inodes = kScratchInodes;
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
  for (const auto& name : policy.allowed_syscalls) {
    if (const auto number = syscall_number(name)) spec.extra_syscalls.push_back(*number);
  }
  return spec;
}

Status write_proc(pid_t pid, const char* file, const std::string& text) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + file;
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.is_valid()) return fail(errno_error("open '" + path + "'"));
  return write_all(fd.get(), text, "'" + path + "'");
}

Status map_identities(pid_t pid, bool privileged, pid_t unique) {
  if (privileged) {
    const uid_t outside = kOutsideBase + static_cast<uid_t>(unique) % kOutsideCount;
    const std::string map =
        "0 0 1\n" + std::to_string(kInsideId) + " " + std::to_string(outside) + " 1\n";
    SYMBIONT_TRY_STATUS(write_proc(pid, "uid_map", map));
    return write_proc(pid, "gid_map", map);
  }
  SYMBIONT_TRY_STATUS(write_proc(pid, "setgroups", "deny"));
  SYMBIONT_TRY_STATUS(write_proc(
      pid, "uid_map", std::to_string(kInsideId) + " " + std::to_string(::geteuid()) + " 1\n"));
  return write_proc(pid, "gid_map",
                    std::to_string(kInsideId) + " " + std::to_string(::getegid()) + " 1\n");
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

/// Kills and reaps a half-started tree.
void discard(const ConfinedProcess& process) {
  if (::syscall(SYS_pidfd_send_signal, process.init_pidfd.get(), SIGKILL, nullptr, 0) != 0 &&
      errno != ESRCH)
    return;
  siginfo_t info{};
  (void)::waitid(P_PIDFD, static_cast<id_t>(process.init_pidfd.get()), &info, WEXITED);
}

/// Everything that must outlive the clone in the parent, and that the child's plan points into.
struct Preparation {
  LockdownSpec spec;
  std::string mount_data;
  std::string environment;
  std::vector<std::string> arguments;
  std::vector<char*> argv;
  std::array<char*, 2> envp{};
  Filter filter;
  cpu_set_t cpus{};
  Pipe go;
  Pipe step;
  Pipe exit;
  UniqueFd null;
  UniqueFd control;
  UniqueFd program;
  ChildPlan plan;
};

std::expected<void, StartFailure> open_descriptors(Preparation& p, int program_fd, int control_fd) {
  SYMBIONT_TRY(p.go, make_pipe());
  SYMBIONT_TRY(p.step, make_pipe());
  SYMBIONT_TRY(p.exit, make_pipe());
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.is_valid()) return failed("open '/dev/null'");
  SYMBIONT_TRY(p.null, high(null.get()));
  SYMBIONT_TRY(p.control, high(control_fd));
  SYMBIONT_TRY(p.program, high(program_fd));
  return {};
}

/// Points the child at what `p` owns.
void lay_out_plan(Preparation& p, const Policy& policy, const HostFacts& host, int rotate) {
  ChildPlan& plan = p.plan;
  plan.spec = &p.spec;
  plan.root = policy.root;
  plan.mount_data = p.mount_data.c_str();
  plan.read_only_root = policy.scratch_bytes == 0;
  plan.privileged = host.privileged;
  plan.nice = policy.nice;
  if (!host.cgroups.has("cpu")) {
    p.cpus = choose_cpus(policy.cpu_cores, rotate);
    plan.affinity = &p.cpus;
  }
  plan.filter = p.filter;
  plan.go_fd = p.go.read.get();
  plan.step_fd = p.step.write.get();
  plan.exit_fd = p.exit.write.get();
  plan.null_fd = p.null.get();
  plan.control_fd = p.control.get();
  plan.program_fd = p.program.get();
  plan.argv = p.argv.data();
  plan.envp = p.envp.data();
}

std::expected<std::unique_ptr<Preparation>, StartFailure> prepare(const Policy& policy,
                                                                  const HostFacts& host,
                                                                  int program_fd,
                                                                  int control_fd) {
  auto p = std::make_unique<Preparation>();
  p->spec = lockdown_spec(policy, host);
  p->mount_data = "size=" + std::to_string(std::max<std::uint64_t>(policy.scratch_bytes, 4096)) +
                  ",nr_inodes=" + std::to_string(kScratchInodes) + ",mode=0700";
  p->arguments = policy.arguments;
  p->arguments.insert(p->arguments.begin(), policy.program.filename().string());
  for (auto& argument : p->arguments)
    p->argv.push_back(argument.data());
  p->argv.push_back(nullptr);
  if (policy.root == RootKind::EmptyAfterExec) {
    p->environment = std::string(kLockdownVariable) + "=" + encode(p->spec);
    p->envp[0] = p->environment.data();
  } else {
    p->filter = build_filter({Phase::Program, policy.kill_on_violation, p->spec.extra_syscalls});
  }
  if (auto opened = open_descriptors(*p, program_fd, control_fd); !opened.has_value()) {
    return std::unexpected(std::move(opened).error());
  }
  lay_out_plan(*p, policy, host, control_fd);
  return p;
}

std::expected<ConfinedProcess, StartFailure> clone_init(Preparation& p) {
  ConfinedProcess process;
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
               CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);  // NOLINT: the kernel's interface
  args.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
  if (pid < 0) return failed("make namespaces");
  if (pid == 0) {
    // The launcher's ends must not live on in the child: it waits for their end of file.
    ::close(p.go.write.get());
    ::close(p.step.read.get());
    ::close(p.exit.read.get());
    run_init(p.plan);
  }
  process.init_pid = pid;
  process.init_pidfd.reset(pidfd);
  p.go.read.reset();
  p.step.write.reset();
  p.exit.write.reset();
  process.exit_pipe = std::move(p.exit.read);
  return process;
}

}  // namespace

Error StartFailure::to_error() const {
  return errno_error("start a confined process: " + step, sys_errno);
}

std::expected<ConfinedProcess, StartFailure> start_confined(const Policy& policy,
                                                            const HostFacts& host,
                                                            int program_fd,
                                                            int control_fd,
                                                            const std::string& name) {
  SYMBIONT_TRY(auto preparation, prepare(policy, host, program_fd, control_fd));
  const CgroupLimits limits{policy.memory_bytes, policy.cpu_cores,
                            policy.threads + policy.child_processes + kProcessSlack};
  auto cgroup = Cgroup::create(host.cgroups, name, limits);
  if (!cgroup.has_value()) return failed(cgroup.error().message(), cgroup.error().sys_errno());
  SYMBIONT_TRY(ConfinedProcess process, clone_init(*preparation));
  process.cgroup = std::move(*cgroup);
  Status ready = process.cgroup->add(process.init_pid);
  if (ready.has_value())
    ready = map_identities(process.init_pid, host.privileged, process.init_pid);
  if (!ready.has_value()) {
    discard(process);
    return failed(ready.error().message(), ready.error().sys_errno());
  }
  if (::write(preparation->go.write.get(), "g", 1) != 1) {
    discard(process);
    return failed("release the child");
  }
  StepReport report;
  const ssize_t count = ::read(preparation->step.read.get(), &report, sizeof report);
  if (count != 0) {
    discard(process);
    if (count == sizeof report && report.step != nullptr)
      return failed(report.step, report.sys_errno);
    return failed("hear from the child");
  }
  process.program_pid = child_of(process.init_pid);
  process.controls = plan_controls(policy, host);
  return process;
}

}  // namespace symbiont::sandbox
