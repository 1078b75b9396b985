#include "sandbox/planner.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/listed_syscalls.h"
#include "sandbox/seccomp_filter.h"

namespace symbiont::sandbox {
namespace {

constexpr std::uint32_t kProgramDescriptors = 1024;
constexpr int kRootInodes = 4096;

LockdownSpec lockdown_spec(const Policy& policy, const HostFacts& host, uid_t outside) {
  LockdownSpec spec;
  spec.uid = host.namespaces ? kInsideId : outside;
  spec.gid = spec.uid;
  spec.change_identity = host.privileged;
  spec.own_namespaces = host.namespaces;
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
    if (has_worker_rule(name)) continue;
    if (const auto number = syscall_number(name)) spec.extra_syscalls.push_back(*number);
  }
  return spec;
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

/// Whether it is at its place without a mount, too.
bool is_of_host(const ViewEntry& entry) {
  return entry.kind == ViewKind::Tree || entry.kind == ViewKind::Device;
}

/// Writes a plan into the memory that a waiting child shares.
class Planner {
 public:
  Planner(const Policy& policy, const HostFacts& host, PreparedTree& tree)
      : policy_(policy), host_(host), tree_(tree), arena_(tree.arena()), plan_(tree.plan()) {}

  /// False when the arena is full.
  bool write(bool control) {
    const LockdownSpec spec = lockdown_spec(policy_, host_, tree_.outside_id());
    plan_.root = policy_.root;
    plan_.own_root = host_.namespaces;
    plan_.nice = policy_.nice;
    plan_.control = control;
    plan_.keep_capabilities = host_.namespaces && !host_.privileged;
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
    std::vector<std::string> environment = policy_.environment;
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
      if (!host_.namespaces && !is_of_host(from)) continue;
      PlannedEntry& entry = entries.emplace_back();
      entry.kind = from.kind;
      entry.source = arena_.put_text(from.source);
      entry.target = arena_.put_text(from.target);
      entry.failed = arena_.put_text("show '" + from.target + "'");
      entry.directory = from.directory;
      entry.writable = from.writable;
      entry.executable = from.executable;
      entry.own = from.own && host_.privileged && host_.namespaces;
    }
    plan_.view = arena_.put_all(std::span<const PlannedEntry>(entries));
    plan_.mount_data = arena_.put_text(tmpfs(0, kRootInodes, "0755"));
    if (policy_.scratch_bytes > 0 && host_.namespaces)
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

}  // namespace

bool write_plan(const Policy& policy, const HostFacts& host, PreparedTree& tree, bool control) {
  return Planner(policy, host, tree).write(control);
}

}  // namespace symbiont::sandbox
