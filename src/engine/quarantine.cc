#include "engine/quarantine.h"

#include <csignal>
#include <utility>

#include <fmt/core.h>

namespace symbiont {

bool Quarantine::is_death(const SlmRunnerError& error) {
  const Verdict& verdict = error.metadata().verdict;
  switch (verdict.kind) {
    case VerdictKind::MemoryLimit:
    case VerdictKind::DiskLimit:
    case VerdictKind::FileSizeLimit:
    case VerdictKind::ProcessLimit:
    case VerdictKind::CpuTimeLimit:
    case VerdictKind::SyscallDenied:
    case VerdictKind::FsDenied:
    case VerdictKind::NetDenied:
    case VerdictKind::Exited:
      return true;
    case VerdictKind::Signaled:
      return verdict.signal != SIGKILL && verdict.signal != SIGTERM;
    case VerdictKind::Killed:
      return error.get_if<runner_error::SandboxViolation>() != nullptr;
    case VerdictKind::Running:
    case VerdictKind::TimeLimit:
    case VerdictKind::SetupFailed:
      return false;
  }
  return false;
}

std::expected<void, SlmRunnerError> Quarantine::check(const RunnerCache::Key& key) {
  const MutexLock lock(mutex_);
  const auto found = records_.find(key);
  if (found == records_.end() || !found->second.until) return {};
  const auto now = clock_();
  if (now >= *found->second.until) {
    records_.erase(found);
    return {};
  }
  const auto left = std::chrono::ceil<std::chrono::seconds>(*found->second.until - now);
  return std::unexpected(SlmRunnerError(runner_error::InitializationFailed{fmt::format(
      "model '{}' is set aside for {} s: its worker died {} times within {} s, last: {}",
      std::get<0>(key), left.count(), kDeathsToQuarantine, kDeathWindow.count(),
      found->second.cause)}));
}

void Quarantine::note(const RunnerCache::Key& key, const SlmRunnerError& error) {
  const auto now = clock_();
  const MutexLock lock(mutex_);
  if (records_.size() >= kMaxWatched && !records_.contains(key)) records_.erase(records_.begin());
  Record& record = records_[key];
  record.deaths.push_back(now);
  while (now - record.deaths.front() > kDeathWindow)
    record.deaths.pop_front();
  record.cause = error.message();
  if (record.deaths.size() >= kDeathsToQuarantine) record.until = now + kQuarantine;
}

void Quarantine::clear() {
  const MutexLock lock(mutex_);
  records_.clear();
}

}  // namespace symbiont
