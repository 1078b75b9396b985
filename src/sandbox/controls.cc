// What this host offers and how each control of a policy is held with it.

#include <linux/sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <csignal>

#include "base/file.h"
#include "sandbox/landlock.h"
#include "sandbox/start.h"

namespace symbiont::sandbox {
namespace {

constexpr const char* kDelegate =
    "run as root, or in a delegated cgroup: systemd-run --user --scope -p Delegate=yes, or "
    "Delegate=yes in the unit";
constexpr const char* kUserNamespaces =
    "allow user namespaces: sysctl user.max_user_namespaces=10000 and, on Debian, "
    "kernel.unprivileged_userns_clone=1";

/// Tries it in a throw-away child: version numbers do not tell.
bool can_make_namespaces() {
  clone_args args{};
  args.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
               CLONE_NEWUTS | CLONE_NEWCGROUP;
  args.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
  if (pid == 0) ::_exit(0);
  if (pid < 0) return false;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR)
    continue;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Control enforced(std::string mechanism) {
  return {ControlState::Enforced, std::move(mechanism), {}};
}
Control degraded(std::string reason, std::string remedy) {
  return {ControlState::Degraded, std::move(reason), std::move(remedy)};
}
Control unavailable(std::string reason, std::string remedy) {
  return {ControlState::Unavailable, std::move(reason), std::move(remedy)};
}

std::string version_of(const HostFacts& host, std::string_view controller) {
  return host.cgroups.controllers.at(std::string(controller)).unified ? "cgroup v2 " : "cgroup v1 ";
}

Control memory_control(const HostFacts& host) {
  if (host.cgroups.has("memory")) {
    const bool unified = host.cgroups.controllers.find("memory")->second.unified;
    return enforced(version_of(host, "memory") +
                    (unified ? "memory.max" : "memory.limit_in_bytes"));
  }
  return enforced("RLIMIT_DATA on private memory; weights mapped from the file are not counted");
}

Control cpu_control(const Policy& policy, const HostFacts& host) {
  if (host.cgroups.has("cpu"))
    return enforced(version_of(host, "cpu") + "quota; thread count follows");
  if (std::floor(policy.cpu_cores) == policy.cpu_cores)
    return enforced("CPU affinity; thread count follows");
  return degraded("affinity holds whole cores only; the fraction needs the cpu controller",
                  kDelegate);
}

Control process_control(const HostFacts& host) {
  const std::string seccomp = "seccomp: no fork, no exec";
  return enforced(host.cgroups.has("pids") ? seccomp + "; " + version_of(host, "pids") + "pids.max"
                                           : seccomp);
}

}  // namespace

HostFacts find_host_facts() {
  HostFacts facts;
  facts.cgroups = find_cgroups();
  facts.landlock_abi = landlock_abi();
  facts.privileged = ::geteuid() == 0;
  facts.user_namespaces = can_make_namespaces();
  return facts;
}

ControlReport plan_controls(const Policy& policy, const HostFacts& host) {
  ControlReport report;
  report["memory"] = memory_control(host);
  report["cpu"] = cpu_control(policy, host);
  report["processes"] = process_control(host);
  report["time"] = enforced("the parent's deadline: cancel, then kill of the whole process tree");
  report["priority"] = enforced("nice");
  report["syscalls"] = enforced("seccomp: load filter, then inference filter");
  report["debugging"] = enforced("not dumpable, no core, no ptrace");
  report["io_bandwidth"] =
      enforced("no descriptor of a file or device but the mapped model; no open(2)");
  if (host.user_namespaces) {
    const std::string landlock = host.landlock_abi > 0
                                     ? "; Landlock ABI " + std::to_string(host.landlock_abi)
                                     : std::string();
    report["filesystem"] = enforced("empty root in a mount namespace; seccomp: no open" + landlock);
    report["network"] = enforced("empty network namespace; seccomp: no socket" + landlock);
    report["disk"] = enforced("size and inode limit of the root; seccomp: no open");
    report["gpu"] = enforced("no device nodes in the root");
  } else {
    for (const char* name : {"filesystem", "network", "disk", "gpu"}) {
      report[name] = unavailable("user, mount, pid and network namespaces cannot be made here",
                                 kUserNamespaces);
    }
  }
  report["landlock"] =
      host.landlock_abi > 0
          ? enforced("ABI " + std::to_string(host.landlock_abi) + ", second line for files and TCP")
          : degraded("this kernel has no Landlock; namespaces and seccomp stand alone",
                     "Linux 5.13 or later with lsm=...,landlock");
  return report;
}

}  // namespace symbiont::sandbox
