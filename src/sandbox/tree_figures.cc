#include "sandbox/tree_figures.h"

#include <sys/vfs.h>

#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace symbiont::sandbox {
namespace {

constexpr std::size_t kMaxProcBytes = 64U << 10U;

/// Value in bytes of a "Name:   123 kB" line.
std::uint64_t status_bytes(const std::string& status, std::string_view name) {
  const auto at = status.find("\n" + std::string(name) + ":");
  if (at == std::string::npos) return 0;
  std::uint64_t kib = 0;
  std::istringstream(status.substr(at + name.size() + 2)) >> kib;
  return kib * 1024;
}

/// Adds the processes below `pid` to `count`.
void count_below(pid_t pid, std::size_t& count) {
  const std::string at = std::to_string(pid);
  const auto text = read_file("/proc/" + at + "/task/" + at + "/children", kMaxProcBytes);
  std::istringstream children(text.value_or(std::string()));
  for (pid_t child = 0; count < kMaxCounted && children >> child;) {
    ++count;
    count_below(child, count);
  }
}

}  // namespace

std::size_t count_processes(const ConfinedProcess& process) {
  const auto inside =
      process.cgroup ? process.cgroup->processes(kMaxCounted) : std::vector<pid_t>();
  if (!inside.empty()) return inside.size() - 1;
  std::size_t count = 0;
  count_below(process.init_pid, count);
  return count;
}

std::uint64_t held_bytes(pid_t pid) {
  const auto status = read_file("/proc/" + std::to_string(pid) + "/status", kMaxProcBytes);
  if (!status.has_value()) return 0;
  return status_bytes(*status, "RssAnon") + status_bytes(*status, "RssShmem");
}

void add_scratch(const ConfinedProcess& process, ReplyMessage& reply) {
  struct statfs info{};
  if (!process.scratch.is_valid() || ::fstatfs(process.scratch.get(), &info) != 0) return;
  reply.scratch_bytes = (info.f_blocks - info.f_bfree) * static_cast<std::uint64_t>(info.f_bsize);
  reply.scratch_full = info.f_bavail == 0 || info.f_ffree == 0;
}

void add_denials(const std::optional<Notifier>& notifier,
                 std::uint64_t refused_tasks,
                 ReplyMessage& reply) {
  DenialLog log = notifier ? notifier->log() : DenialLog();
  if (refused_tasks > 0) {
    log.add({.kind = Denial::Kind::Process,
             .name = "clone",
             .reason = "the limit on threads and processes together",
             .count = refused_tasks},
            true);
  }
  if (notifier) reply.fatal_call = notifier->fatal_call();
  reply.denials = log.denials();
  reply.denials_dropped = log.dropped();
  reply.newest_denial = log.newest();
}

ReplyMessage usage_of(const ConfinedProcess& process) {
  ReplyMessage reply;
  const CgroupUsage usage = process.cgroup ? process.cgroup->usage() : CgroupUsage{};
  reply.peak_memory_bytes = usage.peak_memory_bytes;
  reply.cpu_time_us = usage.cpu_time_us;
  reply.throttled_us = usage.throttled_us;
  reply.out_of_memory = usage.oom_kills > 0;
  return reply;
}

}  // namespace symbiont::sandbox
