// symbiont runner test: whether an engine keeps to the protocol of docs/runners.md.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <memory>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/strings.h"
#include "cmd/symbiont/runner.h"
#include "cmd/symbiont/sandbox_options.h"
#include "cmd/symbiont/terminal.h"
#include "observe/json.h"
#include "runners/conformance.h"

namespace symbiont::cli {
namespace {

using conformance::CheckResult;
using conformance::Outcome;
using std::filesystem::path;

/// Raised when a key changes its meaning or goes away; a new key does not raise it.
constexpr int kSchema = 1;
constexpr std::string_view kIndent = "      ";

struct TestCommand {
  SandboxFlags flags;
  bool json = false;
};

struct Word {
  std::string_view text;
  Paint paint = Paint::None;
};

Word shown(Outcome outcome) {
  switch (outcome) {
    case Outcome::Ok:
      return {"ok", Paint::Green};
    case Outcome::Fail:
      return {"FAIL", Paint::Red};
    case Outcome::Skip:
      return {"skip", Paint::Yellow};
  }
  return {"?", Paint::None};
}

/// One line; below a failure the rule and what to do.
std::string to_text(const CheckResult& result, std::size_t name_width, bool colour) {
  const Word word = shown(result.outcome);
  std::string out = painted(word.paint, word.text, colour);
  out.append(kIndent.size() - word.text.size(), ' ');
  out += result.name;
  std::string detail = printable(result.detail);
  std::ranges::replace_if(detail, [](char c) { return c == '\n' || c == '\t'; }, ' ');
  if (!detail.empty()) {
    out.append(name_width - result.name.size() + 2, ' ');
    out += detail;
  }
  out += '\n';
  if (result.outcome != Outcome::Fail) return out;
  out += fmt::format("{}rule: {}\n", kIndent, result.rule);
  if (!result.remedy.empty()) out += fmt::format("{}to do: {}\n", kIndent, result.remedy);
  return out;
}

struct Count {
  std::ptrdiff_t passed = 0;
  std::ptrdiff_t failed = 0;
  std::ptrdiff_t skipped = 0;
};

Count count(const std::vector<CheckResult>& results) {
  return {.passed = std::ranges::count(results, Outcome::Ok, &CheckResult::outcome),
          .failed = std::ranges::count(results, Outcome::Fail, &CheckResult::outcome),
          .skipped = std::ranges::count(results, Outcome::Skip, &CheckResult::outcome)};
}

std::string summary(const Count& count, const std::string& profile, bool colour) {
  const std::string under = fmt::format("under profile '{}'.", printable(profile));
  const std::string skipped = count.skipped == 0 ? "" : fmt::format(", {} skipped", count.skipped);
  if (count.failed == 0) {
    return painted(Paint::Green, fmt::format("{} checks pass{} {}", count.passed, skipped, under),
                   colour);
  }
  return painted(Paint::Red,
                 fmt::format("{} of {} checks fail{} {}", count.failed,
                             count.passed + count.failed + count.skipped, skipped, under),
                 colour);
}

std::string to_json(const conformance::Conformance& found,
                    const SandboxPlan& plan,
                    const Count& count) {
  observe::Json checks = observe::Json::array();
  for (const CheckResult& result : found.results) {
    std::string word(shown(result.outcome).text);
    std::ranges::transform(word, word.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    });
    checks.push_back({{"name", result.name},
                      {"rule", result.rule},
                      {"result", std::move(word)},
                      {"detail", result.detail},
                      {"remedy", result.remedy},
                      {"elapsed_ms", result.elapsed.count()}});
  }
  observe::Json json;
  json["schema"] = kSchema;
  json["command"] = plan.command.argv;
  json["profile"] = plan.profile.name;
  json["engine"] = {{"name", found.engine.name}, {"version", found.engine.version}};
  json["ok"] = count.failed == 0;
  json["passed"] = count.passed;
  json["failed"] = count.failed;
  json["skipped"] = count.skipped;
  json["checks"] = std::move(checks);
  json["controls"] = observe::to_json(found.controls);
  return observe::dump(json) + "\n";
}

bool is_inside(const path& file, const path& folder) {
  const auto [end, rest] = std::ranges::mismatch(folder, file);
  return end == folder.end() || (std::next(end) == folder.end() && end->empty());
}

bool is_visible(const path& file, const SandboxProfile& profile) {
  static constexpr std::array kSystem = {"/usr", "/bin", "/lib", "/lib64", "/sbin"};
  const auto holds = [&file](const path& folder) { return is_inside(file, folder); };
  return std::ranges::any_of(kSystem, holds) ||
         std::ranges::any_of(profile.filesystem.read_paths, holds) ||
         std::ranges::any_of(profile.filesystem.write_paths, holds);
}

/// The commonest reasons why an engine that runs by hand does not start here.
void warn_of_arguments(const SandboxPlan& plan) {
  for (std::size_t i = 1; i < plan.command.argv.size(); ++i) {
    const path file = plan.command.argv[i];
    std::error_code error;
    if (!std::filesystem::is_regular_file(file, error)) continue;
    if (file.is_relative()) {
      print_warning(
          fmt::format("{} is a relative path, and engines run in '/': write {}",
                      symbiont::quoted(file.string()),
                      std::filesystem::absolute(file, error).lexically_normal().string()));
    } else if (!is_visible(file.lexically_normal(), plan.profile)) {
      print_warning(
          fmt::format("the engine does not see {}: allow it with --read, or in the "
                      "profile's read_paths",
                      symbiont::quoted(file.string())));
    }
  }
}

/// An answer is waited for as long as the profile says; without --timeout at most a minute.
conformance::Bounds bounds_of(const SandboxPlan& plan, bool given) {
  conformance::Bounds bounds;
  const std::chrono::milliseconds limit =
      std::chrono::seconds(plan.profile.process_limits.max_execution_time_seconds);
  bounds.answer = given ? limit : std::min(limit, bounds.answer);
  return bounds;
}

Failure start_failure(const SandboxError& error) {
  Failure failure = to_failure(error);
  if (error.kind == SandboxError::Kind::InvalidInput)
    failure.hint = "'symbiont runner test --help' shows the options, with an example";
  return failure;
}

int test(const TestCommand& command, const std::vector<std::string>& program) {
  if (program.empty()) {
    return report(
        usage_failure("there is no engine to test",
                      "as in: symbiont runner test -- /usr/bin/python3 /srv/engine/engine.py"),
        command.json);
  }
  auto plan = make_plan(command.flags, program);
  if (!plan.has_value()) return report(plan.error(), command.json);
  plan->command.working_directory = "/";  // as a runner starts it
  if (!command.flags.quiet) {
    warn_of_profile(plan->profile);
    warn_of_arguments(*plan);
  }
  const auto host = SandboxHost::create();
  const auto start = [&] {
    return EngineChannel::start(host, plan->profile, plan->command, plan->options);
  };
  const bool colour = wants_colour(STDOUT_FILENO);
  const auto names = conformance::check_names();
  const std::size_t width = std::ranges::max(names, {}, &std::string_view::size).size();
  bool reader_gone = false;
  const auto on_result = [&](const CheckResult& result) {
    if (!command.json && !reader_gone)
      reader_gone = !write_stdout(to_text(result, width, colour)).has_value();
  };
  const auto found =
      conformance::run_checks(start, bounds_of(*plan, !command.flags.timeout.empty()), on_result);
  if (!found.has_value()) return report(start_failure(found.error()), command.json);
  if (!command.flags.quiet) warn_of_controls(found->controls);
  const Count counted = count(found->results);
  const Status written =
      write_stdout(command.json ? to_json(*found, *plan, counted)
                                : "\n" + summary(counted, plan->profile.name, colour) + "\n");
  if (reader_gone || !written.has_value()) return to_int(ExitCode::ReaderGone);
  return to_int(counted.failed == 0 ? ExitCode::Ok : ExitCode::Other);
}

}  // namespace

void add_runner_test(CLI::App& runner, Action& action, const std::vector<std::string>& program) {
  auto command = std::make_shared<TestCommand>();
  CLI::App* sub = runner.add_subcommand(
      "test", "Check that an engine keeps to the protocol of Process providers, in the sandbox");
  add_profile_options(*sub, command->flags);
  add_program_help(*sub);
  sub->add_flag("--json", command->json, "one JSON object on standard output, at the end");
  sub->footer(
      R"(The engine and its arguments stand last. It is started as a Process provider is: under the profile,
in the directory '/', without your environment; again after each check that it did not survive. Each
check is one rule of docs/runners.md. --timeout is how long an answer may take [1m].

Examples:
  symbiont runner test --read /srv/engine -- /usr/bin/python3 /srv/engine/echo_runner.py
  symbiont runner test --config symbiont.toml --profile engine -- /srv/engine/run --model m.bin
  symbiont runner test --json --set resources.max_memory_mb=2048 -- /srv/engine/run | jq '.checks[] | select(.result == "fail")'

Exit codes: 0 all checks pass (those skipped do not count), 1 one fails, 8 the profile cannot be
enforced on this host, 2 usage or input, 3 configuration.)");
  sub->callback([command, &action, &program] {
    action = [command, &program] { return test(*command, program); };
  });
}

}  // namespace symbiont::cli
