#include "symbiont/verdict.h"

#include <signal.h>
#include <string.h>

#include <fmt/core.h>

#include "base/result.h"

namespace symbiont {
namespace {

std::string size_text(std::uint64_t bytes) {
  constexpr std::uint64_t kMib = std::uint64_t{1} << 20U;
  if (bytes >= kMib && bytes % kMib == 0) return fmt::format("{} MiB", bytes / kMib);
  if (bytes >= kMib) {
    return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / static_cast<double>(kMib));
  }
  return fmt::format("{} bytes", bytes);
}

std::string signal_text(int signal) {
  const char* name = sigabbrev_np(signal);
  return name == nullptr ? fmt::format("signal {}", signal) : fmt::format("SIG{}", name);
}

std::string limit_text(std::string_view what, const Verdict& verdict) {
  if (verdict.limit_bytes == 0) return fmt::format("{} limit reached", what);
  if (verdict.peak_bytes == 0) {
    return fmt::format("{} limit {} reached", what, size_text(verdict.limit_bytes));
  }
  return fmt::format("{} limit {} reached (peak {})", what, size_text(verdict.limit_bytes),
                     size_text(verdict.peak_bytes));
}

std::string denied_text(std::string_view what, const Verdict& verdict) {
  std::string text(what);
  if (!verdict.syscall.empty()) text += fmt::format(" '{}'", verdict.syscall);
  text += " denied";
  if (!verdict.phase.empty()) text += fmt::format(" in phase {}", verdict.phase);
  return text;
}

/// "TEXT: SUBJECT:PORT (REASON)", what there is of it.
std::string with_subject(std::string_view text, const Verdict& verdict) {
  std::string line(text);
  if (!verdict.subject.empty()) line += fmt::format(": {}", verdict.subject);
  if (verdict.port != 0) line += fmt::format(":{}", verdict.port);
  if (!verdict.reason.empty()) line += fmt::format(" ({})", verdict.reason);
  return line;
}

}  // namespace

std::string_view to_string(VerdictKind kind) {
  switch (kind) {
    case VerdictKind::Running:
      return "Running";
    case VerdictKind::Exited:
      return "Exited";
    case VerdictKind::Signaled:
      return "Signaled";
    case VerdictKind::MemoryLimit:
      return "MemoryLimit";
    case VerdictKind::CpuTimeLimit:
      return "CpuTimeLimit";
    case VerdictKind::TimeLimit:
      return "TimeLimit";
    case VerdictKind::DiskLimit:
      return "DiskLimit";
    case VerdictKind::FileSizeLimit:
      return "FileSizeLimit";
    case VerdictKind::ProcessLimit:
      return "ProcessLimit";
    case VerdictKind::SyscallDenied:
      return "SyscallDenied";
    case VerdictKind::FsDenied:
      return "FsDenied";
    case VerdictKind::NetDenied:
      return "NetDenied";
    case VerdictKind::Killed:
      return "Killed";
    case VerdictKind::SetupFailed:
      return "SetupFailed";
  }
  return "Unknown";
}

std::string describe(const Verdict& verdict) {
  switch (verdict.kind) {
    case VerdictKind::Running:
      return "still running";
    case VerdictKind::Exited:
      return fmt::format("exited with code {}", verdict.exit_code);
    case VerdictKind::Signaled:
      return fmt::format("ended by {}", signal_text(verdict.signal));
    case VerdictKind::MemoryLimit:
      return limit_text("memory", verdict);
    case VerdictKind::CpuTimeLimit:
      return "CPU time limit reached";
    case VerdictKind::TimeLimit:
      return fmt::format("time limit reached after {} ms", verdict.elapsed.count());
    case VerdictKind::DiskLimit:
      return limit_text("disk", verdict);
    case VerdictKind::FileSizeLimit:
      return limit_text("file size", verdict);
    case VerdictKind::ProcessLimit:
      return with_subject("process limit reached", verdict);
    case VerdictKind::SyscallDenied:
      return denied_text("system call", verdict);
    case VerdictKind::FsDenied:
      return with_subject("file access denied", verdict);
    case VerdictKind::NetDenied:
      return with_subject("network access denied", verdict);
    case VerdictKind::Killed:
      return "killed by its owner";
    case VerdictKind::SetupFailed:
      return fmt::format("setup failed at step '{}': {}", verdict.step,
                         verdict.sys_errno == 0 ? "unknown" : errno_text(verdict.sys_errno));
  }
  return "unknown";
}

std::string_view to_string(ControlState state) {
  switch (state) {
    case ControlState::Enforced:
      return "Enforced";
    case ControlState::Degraded:
      return "Degraded";
    case ControlState::Unavailable:
      return "Unavailable";
  }
  return "Unknown";
}

}  // namespace symbiont
