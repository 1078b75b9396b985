#include "sandbox/plain_controls.h"

#include <algorithm>

namespace symbiont::sandbox {
namespace {

constexpr const char* kUserNamespaces =
    "allow user namespaces: sysctl user.max_user_namespaces=10000 and, on Debian, "
    "kernel.unprivileged_userns_clone=1; in a container, a seccomp profile that allows them";
constexpr int kLandlockTruncate = 3;  // the version without which a file can be emptied
constexpr int kLandlockTcp = 4;

std::string landlock(const HostFacts& host) {
  return "Landlock ABI " + std::to_string(host.landlock_abi);
}

Control missing(std::string reason) {
  return unavailable(std::move(reason), kUserNamespaces);
}

Control alone(std::string what) {
  return degraded(std::move(what), kUserNamespaces);
}

void worker_rows(const HostFacts& host, ControlReport& report) {
  const bool landlocked = host.landlock_abi > 0;
  report["filesystem"] = alone("no mount namespace here: seccomp (no open)" +
                               (landlocked ? " and " + landlock(host) : std::string()) +
                               " alone keep it from the host's files; while the model loads, their "
                               "names and sizes can be asked for");
  report["network"] = alone(
      "no network namespace here: seccomp (no socket)" +
      (host.landlock_abi >= kLandlockTcp ? " and " + landlock(host) : std::string()) + " alone");
  report["disk"] = enforced("seccomp: no open");
  report["gpu"] = alone("the host's device nodes are there; seccomp (no open) alone");
}

const ViewEntry* find_kind(const Policy& policy, ViewKind kind) {
  const auto at = std::ranges::find(policy.view, kind, &ViewEntry::kind);
  return at == policy.view.end() ? nullptr : &*at;
}

Control program_files(const Policy& policy, const HostFacts& host) {
  if (host.landlock_abi < kLandlockTruncate)
    return missing("no mount namespace here, and no Landlock of version 3 to stand in for it");
  if (!host.privileged)
    return missing(
        "no pid namespace here, and no identity to give to a program, which could then signal what "
        "else its user runs");
  if (const ViewEntry* covered = find_kind(policy, ViewKind::Cover))
    return missing("denied_paths '" + covered->target +
                   "' lies in an allowed directory: that takes a mount namespace");
  if (find_kind(policy, ViewKind::Proc) != nullptr)
    return missing("read_paths '/proc' takes a pid namespace");
  return alone("no mount namespace here: " + landlock(host) +
               " and an identity of its own alone; names and sizes of other files can be seen");
}

Control program_network(const Policy& policy, const HostFacts& host) {
  switch (policy.network) {
    case NetworkAccessMode::None:
      break;
    case NetworkAccessMode::Restricted:
      return missing("network Restricted takes a network namespace");
    case NetworkAccessMode::Full:
      return enforced("none asked for: the host's network");
  }
  return alone("no network namespace here: seccomp (no socket)" +
               (host.landlock_abi >= kLandlockTcp ? " and " + landlock(host) : std::string()) +
               " alone");
}

}  // namespace

void replace_by_plain_rows(const Policy& policy, const HostFacts& host, ControlReport& report) {
  if (policy.root == RootKind::EmptyAfterExec) {
    worker_rows(host, report);
    return;
  }
  report["filesystem"] = program_files(policy, host);
  report["network"] = program_network(policy, host);
  report["disk"] = policy.scratch_bytes > 0
                       ? alone("no temporary files: a /tmp of its own takes a mount namespace")
                       : enforced("no temporary files; RLIMIT_FSIZE");
  if (report["gpu"].state == ControlState::Enforced)
    report["gpu"] = alone("the host's device nodes are there; " + landlock(host) + " alone");
}

bool can_start(const HostFacts& host, const ControlReport& controls) {
  if (host.namespaces) return true;
  return std::ranges::none_of(
      std::initializer_list<const char*>{"filesystem", "network"}, [&](const char* name) {
        const auto at = controls.find(name);
        return at == controls.end() || at->second.state == ControlState::Unavailable;
      });
}

}  // namespace symbiont::sandbox
