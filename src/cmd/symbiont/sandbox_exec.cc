// symbiont sandbox exec: a program with our streams, under a profile.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "cmd/symbiont/sandbox.h"
#include "cmd/symbiont/sandbox_options.h"
#include "cmd/symbiont/sandbox_relay.h"
#include "cmd/symbiont/sandbox_report.h"
#include "cmd/symbiont/terminal.h"
#include "observe/sandbox_json.h"

namespace symbiont::cli {
namespace {

struct ExecCommand {
  SandboxFlags flags;
  std::string report;
};

constexpr int kSignalBase = 128;
constexpr int kJsonIndent = 2;

/// A closed 0, 1 or 2 would be given to the next file that is opened, and then to the program.
void open_standard_streams() {
  int fd = 0;
  do {
    fd = ::open("/dev/null", O_RDWR);  // NOLINT(android-cloexec-open): 0 to 2 are inherited
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd > STDERR_FILENO) (void)::close(fd);
}

/// How to let a program go on where `verdict` ended it; empty: nothing to say.
std::string verdict_hint(const Verdict& verdict, const SandboxProfile& profile) {
  if (verdict.kind != VerdictKind::ProcessLimit) return {};
  return fmt::format("; allow more with --set process_limits.max_child_processes={}",
                     profile.process_limits.max_child_processes + 1);
}

/// describe() on one line and safe for a terminal: paths and hosts in it are the program's choice.
std::string verdict_line(const Verdict& verdict, const SandboxProfile& profile) {
  std::string line = describe(verdict) + verdict_hint(verdict, profile);
  std::ranges::replace_if(line, [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return "symbiont: " + printable(line) + "\n";
}

int exit_code_of(const Verdict& verdict) {
  return verdict.signal != 0 ? kSignalBase + verdict.signal : verdict.exit_code;
}

/// Ends the command with what the program ended with, unless the report got lost.
int write_report(const std::optional<ReportFile>& file, const observe::Json& json, int code) {
  if (!file.has_value()) return code;
  const Status written = file->write(observe::dump(json, kJsonIndent) + "\n");
  if (written.has_value()) return code;
  print_error(fmt::format("the report is not written: {}", written.error().message()));
  return code == 0 ? to_int(ExitCode::Other) : code;
}

/// One command under way: what the report says about it, and where the report goes.
struct Run {
  observe::SandboxRequest request;
  std::optional<ReportFile> file;
  SandboxProfile profile;  ///< what hints start from

  [[nodiscard]] int failed(const Failure& failure, const SandboxError& error) const {
    const observe::SandboxFailure shown{failure.kind, failure.message, failure.hint,
                                        error.controls};
    const int code = report(failure);
    return write_report(file, observe::to_json(request, shown, error.verdict), code);
  }

  [[nodiscard]] int ended(const SandboxReport& end) const {
    if (end.verdict.kind != VerdictKind::Exited) write_stderr(verdict_line(end.verdict, profile));
    return write_report(file, observe::to_json(request, end), exit_code_of(end.verdict));
  }
};

int exec(const ExecCommand& command, const std::vector<std::string>& program) {
  open_standard_streams();
  Run run{.request = {program, command.flags.profile}, .file = std::nullopt, .profile = {}};
  if (!command.report.empty()) {
    auto file = ReportFile::open(command.report);
    if (!file.has_value()) return report(file.error());
    run.file = *std::move(file);
  }
  if (program.empty()) {
    return run.failed(
        usage_failure("there is no program to run", "as in: symbiont sandbox exec -- ls -l"), {});
  }
  auto plan = make_plan(command.flags, program);
  if (!plan.has_value()) return run.failed(plan.error(), {});
  run.request.profile = plan->profile.name;
  run.profile = plan->profile;
  if (!command.flags.quiet) warn_of_profile(plan->profile);

  auto relay = SignalRelay::install();
  if (!relay.has_value()) return run.failed(to_failure(relay.error()), {});
  plan->options.stdin_fd = STDIN_FILENO;
  plan->options.stdout_fd = STDOUT_FILENO;
  plan->options.stderr_fd = STDERR_FILENO;
  auto started =
      SandboxedProgram::start(SandboxHost::create(), plan->profile, plan->command, plan->options);
  if (!started.has_value()) return run.failed(to_failure(started.error()), started.error());
  (*relay)->attach(started->get());
  if (!command.flags.quiet) warn_of_controls((*started)->controls());
  const SandboxReport end = (*started)->wait();
  (*relay)->attach(nullptr);
  return run.ended(end);
}

}  // namespace

void add_sandbox_exec(CLI::App& sandbox, Action& action, const std::vector<std::string>& program) {
  auto command = std::make_shared<ExecCommand>();
  CLI::App* sub = sandbox.add_subcommand("exec", "Run a program; its streams and exit code pass");
  add_sandbox_options(*sub, command->flags);
  add_program_help(*sub);
  sub->add_option("--report", command->report,
                  "write verdict, figures and denials there as JSON, mode 0600")
      ->type_name("FILE");
  sub->add_flag("--no-file-report", command->flags.no_file_report,
                "do not name denied files (they are denied all the same)");
  sub->footer(
      R"(The program and its arguments stand last; '--' before them is optional. It sees the system's
programs and libraries read-only and nothing else, unless allowed: no file of yours, no network.

Examples:
  symbiont sandbox exec -- ./downloaded-tool --version
  symbiont sandbox exec --read photos --write out --timeout 2m -- convert photos/a.png out/a.jpg
  symbiont sandbox exec --net api.example.org:443 --env TOKEN -- ./client
  symbiont sandbox exec --tmp --set resources.max_memory_mb=64 --report r.json -- python3 job.py
  symbiont sandbox exec --config symbiont.toml --profile tools -- make

Exit codes: those of the program, 128 + N when signal N ended it; when nothing was started,
2 usage or input, 3 configuration, 8 control unavailable, 1 other (the report tells them apart).)");
  sub->callback([command, &action, &program] {
    action = [command, &program] { return exec(*command, program); };
  });
}

}  // namespace symbiont::cli
