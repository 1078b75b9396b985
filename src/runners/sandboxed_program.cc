#include <algorithm>
#include <csignal>
#include <stop_token>
#include <thread>
#include <utility>

#include "symbiont/sandbox.h"

#include "broker/broker.h"
#include "runners/sandbox_host_impl.h"
#include "sandbox/sandbox.h"

namespace symbiont {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::uint64_t kMiB = 1U << 20U;

SandboxError to_sandbox_error(const Error& error) {
  SandboxError out;
  out.message = error.message();
  out.verdict.sys_errno = error.sys_errno();
  switch (error.code()) {
    case ErrorCode::FailedPrecondition:
      out.kind = SandboxError::Kind::ControlUnavailable;
      break;
    case ErrorCode::InvalidArgument:
    case ErrorCode::NotFound:
    case ErrorCode::ResourceExhausted:
      out.kind = SandboxError::Kind::InvalidInput;
      break;
    default:
      out.kind = SandboxError::Kind::SetupFailed;
      break;
  }
  out.verdict.step = error.message();
  return out;
}

}  // namespace

struct SandboxedProgram::Impl {
  SandboxProfile profile;
  SandboxOptions options;
  std::unique_ptr<sandbox::SandboxedProcess> process;
  std::unique_ptr<broker::Broker> broker;
  steady_clock::time_point begin = steady_clock::now();
  std::jthread timer;  ///< last: joined before what it uses goes

  /// SIGTERM at the time limit, the whole tree after the grace.
  void watch_time(const std::stop_token& stop) {
    const auto limit =
        begin + std::chrono::seconds(profile.process_limits.max_execution_time_seconds);
    if (!sleep_until(stop, limit)) return;
    process->signal(SIGTERM, VerdictKind::TimeLimit);
    if (!sleep_until(stop, limit + options.grace)) return;
    process->kill(VerdictKind::TimeLimit);
  }

  /// False when the program ended, or the object is going, before.
  bool sleep_until(const std::stop_token& stop, steady_clock::time_point until) {
    constexpr milliseconds kStep{100};
    while (!stop.stop_requested()) {
      const auto now = steady_clock::now();
      if (now >= until) return true;
      if (process->wait_until(std::min(until, now + kStep))) return false;
    }
    return false;
  }

  void add_network(SandboxReport& report) const {
    if (!broker) return;
    const broker::BrokerReport said = broker->report();
    report.usage.network_sent_bytes = said.bytes_out;
    report.usage.network_received_bytes = said.bytes_in;
    report.denials_dropped += said.decisions_dropped;
    for (const broker::Decision& decision : said.decisions) {
      if (decision.allowed) {
        report.connections.push_back({decision.host, decision.port, decision.address});
        continue;
      }
      const auto same = std::ranges::find_if(report.denials, [&](const Denial& denial) {
        return denial.kind == Denial::Kind::Network && denial.name == decision.host &&
               denial.port == decision.port && denial.reason == decision.reason;
      });
      if (same != report.denials.end()) {
        ++same->count;
      } else if (report.denials.size() < kMaxDenials) {
        report.denials.push_back(
            {Denial::Kind::Network, decision.host, decision.port, decision.reason, 1});
      } else {
        ++report.denials_dropped;
      }
    }
  }

  /// A connection refused by the broker explains a failure that nothing else does.
  static void explain_by_network(SandboxReport& report, bool refused) {
    Verdict& verdict = report.verdict;
    const bool failed = verdict.kind == VerdictKind::Signaled ||
                        verdict.kind == VerdictKind::FsDenied ||
                        (verdict.kind == VerdictKind::Exited && verdict.exit_code != 0);
    if (!failed || !refused) return;
    const Denial& last = report.denials.back();
    verdict.kind = VerdictKind::NetDenied;
    verdict.subject = last.name;
    verdict.port = last.port;
    verdict.reason = last.reason;
  }

  /// All but the network's figures and how long it ran.
  [[nodiscard]] SandboxUsage usage() const {
    const sandbox::Usage seen = process->usage();
    SandboxUsage out;
    out.peak_memory_bytes = seen.peak_memory_bytes;
    out.memory_limit_bytes = profile.resources.max_memory_mb * kMiB;
    out.cpu_time = std::chrono::microseconds(seen.cpu_time_us);
    out.throttled = std::chrono::microseconds(seen.throttled_us);
    out.scratch_bytes = seen.scratch_bytes;
    out.scratch_limit_bytes =
        profile.filesystem.allow_temp_files ? profile.resources.max_disk_mb * kMiB : 0;
    out.written_bytes = seen.written_bytes;
    return out;
  }

  [[nodiscard]] SandboxUsage live_usage() const {
    SandboxUsage out = usage();
    out.elapsed = std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin);
    if (!broker) return out;
    const broker::BrokerReport said = broker->report();
    out.network_sent_bytes = said.bytes_out;
    out.network_received_bytes = said.bytes_in;
    return out;
  }

  [[nodiscard]] SandboxReport report(Verdict verdict) {
    SandboxReport out;
    out.verdict = std::move(verdict);
    out.usage = usage();
    out.usage.elapsed = out.verdict.elapsed;
    sandbox::DenialSummary denied = process->denials();
    out.denials = std::move(denied.denials);
    out.denials_dropped = denied.dropped;
    const std::size_t before = out.denials.size();
    add_network(out);
    explain_by_network(out, out.denials.size() > before);
    out.controls = process->controls();
    return out;
  }

  static constexpr std::size_t kMaxDenials = 256;
};

std::expected<std::unique_ptr<SandboxedProgram>, SandboxError> SandboxedProgram::start(
    const std::shared_ptr<SandboxHost>& host,
    const SandboxProfile& profile,
    const SandboxCommand& command,
    const SandboxOptions& options) {
  const auto failure = [](const Error& error) { return std::unexpected(to_sandbox_error(error)); };
  auto policy = sandbox::program_policy(profile, command, options);
  if (!policy.has_value()) return failure(policy.error());
  auto impl = std::make_unique<Impl>();
  impl->profile = profile;
  impl->options = options;
  sandbox::Attached attached;
  attached.in = options.stdin_fd;
  attached.out = options.stdout_fd;
  attached.err = options.stderr_fd;
  sandbox::Launcher& launcher = *host->impl().launcher;
  auto process = launcher.spawn(*policy, std::move(attached));
  if (!process.has_value()) {
    SandboxError error = to_sandbox_error(process.error());
    if (error.kind == SandboxError::Kind::ControlUnavailable)
      error.controls = sandbox::missing_controls(launcher, *policy);
    return std::unexpected(std::move(error));
  }
  impl->process = std::move(*process);
  impl->begin = steady_clock::now();
  if (profile.network.access_mode == NetworkAccessMode::Restricted) {
    auto started = broker::Broker::start(impl->process->take_relay(), profile.network,
                                         profile.security.require_encryption);
    if (!started.has_value()) return failure(started.error());  // the process goes with impl
    impl->broker = std::move(*started);
  }
  impl->timer =
      std::jthread([raw = impl.get()](const std::stop_token& stop) { raw->watch_time(stop); });
  return std::unique_ptr<SandboxedProgram>(new SandboxedProgram(std::move(impl)));
}

SandboxedProgram::SandboxedProgram(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

SandboxedProgram::~SandboxedProgram() = default;  // ~SandboxedProcess kills the tree

int SandboxedProgram::pid() const {
  return impl_->process->pid();
}

void SandboxedProgram::signal(int signal) {
  impl_->process->signal(signal, std::nullopt);
}

void SandboxedProgram::kill() {
  impl_->process->kill(VerdictKind::Killed);
}

SandboxReport SandboxedProgram::wait() {
  while (true) {
    constexpr std::chrono::hours kLong{1};
    if (auto report = wait_for(kLong)) return std::move(*report);
  }
}

std::optional<SandboxReport> SandboxedProgram::wait_for(milliseconds time) {
  auto verdict = impl_->process->wait_until(steady_clock::now() + time);
  if (!verdict) return std::nullopt;
  return impl_->report(std::move(*verdict));
}

SandboxUsage SandboxedProgram::usage() const {
  return impl_->live_usage();
}

bool SandboxedProgram::limit_memory(std::uint64_t bytes) {
  return impl_->process->limit_memory(bytes).has_value();
}

const ControlReport& SandboxedProgram::controls() const {
  return impl_->process->controls();
}

std::vector<ProofItem> SandboxedProgram::proof() const {
  return impl_->process->proof().value_or(std::vector<ProofItem>());
}

}  // namespace symbiont
