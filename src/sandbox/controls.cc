// What this host offers and how each control of a policy is held with it.

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>

#include "base/file.h"
#include "sandbox/init.h"
#include "sandbox/landlock.h"
#include "sandbox/namespaces.h"
#include "sandbox/plain_controls.h"
#include "sandbox/start.h"

namespace symbiont::sandbox {
namespace {

constexpr const char* kDelegate =
    "run as root, or in a delegated cgroup: systemd-run --user --scope -p Delegate=yes, or "
    "Delegate=yes and DelegateSubgroup=main in the unit";
constexpr int kLandlockFiles = 1;  // Landlock versions
constexpr int kLandlockTcp = 4;

/// Whether `attempt` succeeds in a throw-away child, in new `namespaces`: version numbers do not
/// tell.
bool can_do(unsigned namespaces, bool (*attempt)()) {
  const pid_t pid = clone_with(namespaces, nullptr);
  if (pid == 0) ::_exit(attempt() ? 0 : 1);
  if (pid < 0) return false;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR)
    continue;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool take_identity() {
  const uid_t id = outside_id_of(::getpid());
  return ::syscall(SYS_setgroups, 0, nullptr) == 0 && ::syscall(SYS_setresgid, id, id, id) == 0 &&
         ::syscall(SYS_setresuid, id, id, id) == 0;
}

std::string version_of(const HostFacts& host, std::string_view controller) {
  return host.cgroups.controllers.at(std::string(controller)).unified ? "cgroup v2 " : "cgroup v1 ";
}

Control memory_control(const Policy& policy, const HostFacts& host) {
  if (host.cgroups.has("memory")) {
    const bool unified = host.cgroups.controllers.find("memory")->second.unified;
    return enforced(version_of(host, "memory") +
                    (unified ? "memory.max" : "memory.limit_in_bytes"));
  }
  if (policy.root == RootKind::View)
    return degraded(
        "RLIMIT_DATA holds the private memory of each process by itself; the kernel's buffers for "
        "it, and all processes together, are not counted",
        kDelegate);
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

Control process_control(const Policy& policy, const HostFacts& host) {
  const bool any = policy.root == RootKind::View;
  const std::string first =
      any ? "the launcher counts and answers each fork" : "seccomp: no fork, no exec";
  if (host.cgroups.has("pids"))
    return enforced(first + "; " + version_of(host, "pids") + "pids.max for threads");
  if (host.privileged) return enforced(first + "; RLIMIT_NPROC of its own identity for threads");
  return enforced(first + "; threads are bounded by memory alone");
}

Control io_control(const Policy& policy, const HostFacts& host) {
  if (policy.root != RootKind::View)
    return enforced("no descriptor of a file or device but the mapped model; no open(2)");
  if (!host.cgroups.has("blkio")) {
    return policy.io_written
               ? unavailable("no writable cgroup has the io or blkio controller", kDelegate)
               : enforced("no path on a disk may be written; reads are not limited");
  }
  const bool unified = host.cgroups.controllers.find("blkio")->second.unified;
  if (policy.io_incomplete)
    return degraded("the kernel does not name the disk below one of the paths",
                    "keep read_paths and write_paths on plain disks or in memory");
  if (unified) return enforced("cgroup v2 io.max");
  if (policy.io_written)
    return degraded(
        "cgroup v1 limits reads and synchronous writes; what the kernel writes back later is not "
        "counted",
        "boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1), or write to allow_temp_files");
  return enforced("cgroup v1 blkio.throttle; no path on a disk may be written");
}

std::string landlock_text(const HostFacts& host, int since) {
  return host.landlock_abi >= since ? "; Landlock ABI " + std::to_string(host.landlock_abi)
                                    : std::string();
}

void add_worker_rows(const HostFacts& host, ControlReport& report) {
  report["syscalls"] = enforced("seccomp: load filter, then inference filter");
  report["debugging"] = enforced("not dumpable, no core, no ptrace");
  report["filesystem"] = enforced("empty root in a mount namespace; seccomp: no open" +
                                  landlock_text(host, kLandlockFiles));
  report["network"] =
      enforced("empty network namespace; seccomp: no socket" + landlock_text(host, kLandlockTcp));
  report["disk"] = enforced("size and inode limit of the root; seccomp: no open");
  report["gpu"] = enforced("no device nodes in the root");
}

void add_program_rows(const Policy& policy, const HostFacts& host, ControlReport& report) {
  report["syscalls"] =
      enforced(policy.kill_on_violation ? "seccomp allow-list; the launcher names and kills"
                                        : "seccomp allow-list; the launcher names and refuses");
  report["debugging"] = enforced("seccomp: no ptrace, no reading of other memory; no core");
  report["filesystem"] = enforced("a root of the allowed paths alone in a mount namespace" +
                                  landlock_text(host, kLandlockFiles));
  report["disk"] = enforced("size and inode limit of /tmp, or none; RLIMIT_FSIZE");
  switch (policy.network) {
    case NetworkAccessMode::None:
      report["network"] = enforced("empty network namespace; seccomp: no socket" +
                                   landlock_text(host, kLandlockTcp));
      break;
    case NetworkAccessMode::Restricted:
      report["network"] = enforced(
          "network namespace with loopback alone; the broker outside connects to what is listed");
      break;
    case NetworkAccessMode::Full:
      report["network"] = enforced("none asked for: the host's network");
      break;
  }
  const bool has_gpu = std::ranges::any_of(policy.view, [](const ViewEntry& entry) {
    return entry.kind == ViewKind::Device &&
           (entry.target.starts_with("/dev/nvidia") || entry.target.starts_with("/dev/dri") ||
            entry.target.starts_with("/dev/kfd"));
  });
  if (!policy.gpu_wanted) {
    report["gpu"] = enforced("no device nodes of one");
  } else if (has_gpu) {
    report["gpu"] = enforced("its device nodes and no others");
  } else {
    report["gpu"] = unavailable("this host has no GPU device node", "gpu_access = \"None\"");
  }
}

}  // namespace

HostFacts find_host_facts() {
  HostFacts facts;
  facts.cgroups = find_cgroups();
  facts.landlock_abi = landlock_abi();
  facts.namespaces = can_do(kNamespaces | unsigned{CLONE_NEWNET}, [] { return true; });
  facts.privileged = ::geteuid() == 0 && (facts.namespaces || can_do(0, take_identity));
  return facts;
}

bool is_required(std::string_view control) {
  return control != "landlock" && control != "io_bandwidth";
}

ControlReport plan_controls(const Policy& policy, const HostFacts& host) {
  ControlReport report;
  report["memory"] = memory_control(policy, host);
  report["cpu"] = cpu_control(policy, host);
  report["processes"] = process_control(policy, host);
  report["time"] = enforced("the parent's deadline: cancel, then kill of the whole process tree");
  report["priority"] = enforced("nice");
  report["io_bandwidth"] = io_control(policy, host);
  if (policy.root == RootKind::View) {
    add_program_rows(policy, host, report);
  } else {
    add_worker_rows(host, report);
  }
  if (!host.namespaces) replace_by_plain_rows(policy, host, report);
  report["landlock"] =
      host.landlock_abi > 0
          ? enforced("ABI " + std::to_string(host.landlock_abi) + ", second line for files" +
                     (host.landlock_abi >= kLandlockTcp ? " and TCP" : ""))
          : degraded(host.namespaces
                         ? "this kernel has no Landlock; namespaces and seccomp stand alone"
                         : "this kernel has no Landlock",
                     "Linux 5.13 or later with lsm=...,landlock");
  return report;
}

}  // namespace symbiont::sandbox
