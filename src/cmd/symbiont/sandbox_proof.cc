// symbiont sandbox proof: what the kernel says about a program confined under a profile.

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "cmd/symbiont/sandbox.h"
#include "cmd/symbiont/sandbox_options.h"
#include "cmd/symbiont/table.h"
#include "cmd/symbiont/terminal.h"
#include "observe/sandbox_json.h"

namespace symbiont::cli {
namespace {

struct ProofCommand {
  SandboxFlags flags;
  bool json = false;
};

std::string to_json(const observe::SandboxRequest& request,
                    const std::vector<ProofItem>& items,
                    const ControlReport& controls,
                    bool holds) {
  observe::Json list = observe::Json::array();
  for (const ProofItem& item : items) {
    list.push_back({{"name", item.name},
                    {"expected", item.expected},
                    {"found", item.found},
                    {"ok", item.holds}});
  }
  observe::Json json;
  json["schema"] = observe::kSandboxReportSchema;
  json["command"] = request.command;
  json["profile"] = request.profile;
  json["ok"] = holds;
  json["proof"] = std::move(list);
  json["controls"] = observe::to_json(controls);
  return observe::dump(json) + "\n";
}

std::string to_text(const std::string& profile, const std::vector<ProofItem>& items, bool holds) {
  const bool colour = wants_colour(STDOUT_FILENO);
  Table table({"OK", "NAME", "EXPECTED", "FOUND"});
  for (const ProofItem& item : items) {
    table.add({{item.holds ? "yes" : "NO", item.holds ? Paint::Green : Paint::Red},
               {item.name},
               {item.expected},
               {item.found}});
  }
  const auto failed = std::ranges::count(items, false, &ProofItem::holds);
  const std::string last = holds ? painted(Paint::Green,
                                           fmt::format("All {} hold under profile '{}'.",
                                                       items.size(), printable(profile)),
                                           colour)
                                 : painted(Paint::Red,
                                           fmt::format("{} of {} do not hold under profile '{}'.",
                                                       failed, items.size(), printable(profile)),
                                           colour);
  return table.to_string(colour) + "\n" + last + "\n";
}

Failure gone(const SandboxReport& report) {
  return {
      ExitCode::Other, "ExecutionFailed",
      fmt::format("the program ended before it could be looked at: {}", describe(report.verdict)),
      "name one that waits: symbiont sandbox proof -- /bin/sleep 60"};
}

int proof(const ProofCommand& command, const std::vector<std::string>& given) {
  const std::vector<std::string> program =
      given.empty() ? std::vector<std::string>{"/bin/sleep", "5"} : given;
  const auto plan = make_plan(command.flags, program);
  if (!plan.has_value()) return report(plan.error(), command.json);
  if (!command.flags.quiet) warn_of_profile(plan->profile);
  const auto started =
      SandboxedProgram::start(SandboxHost::create(), plan->profile, plan->command, plan->options);
  if (!started.has_value()) return report(to_failure(started.error()), command.json);
  const std::vector<ProofItem> items = (*started)->proof();
  (*started)->kill();
  const SandboxReport ended = (*started)->wait();
  if (items.empty()) return report(gone(ended), command.json);
  const bool holds = std::ranges::all_of(items, &ProofItem::holds);
  if (!command.flags.quiet) warn_of_controls((*started)->controls());
  const Status written = write_stdout(
      command.json ? to_json({program, plan->profile.name}, items, (*started)->controls(), holds)
                   : to_text(plan->profile.name, items, holds));
  if (!written.has_value()) return to_int(ExitCode::ReaderGone);
  return to_int(holds ? ExitCode::Ok : ExitCode::SandboxViolation);
}

}  // namespace

void add_sandbox_proof(CLI::App& sandbox, Action& action, const std::vector<std::string>& program) {
  auto command = std::make_shared<ProofCommand>();
  CLI::App* sub = sandbox.add_subcommand(
      "proof", "Show what the kernel says about a program confined under a profile");
  add_sandbox_options(*sub, command->flags);
  add_program_help(*sub);
  sub->add_flag("--json", command->json, "as one JSON object");
  sub->footer(
      R"(A small program (/bin/sleep, or the one named last) is started under the profile, looked at from
outside, and killed.

Examples:
  symbiont sandbox proof
  symbiont sandbox proof --config symbiont.toml --profile tools --json | jq '.proof[] | select(.ok | not)'
  symbiont sandbox proof --tmp --net api.example.org:443

Exit codes: 0 all hold, 7 one does not, 8 the profile cannot be enforced on this host, 2 usage or
input, 3 configuration, 1 other.)");
  sub->callback([command, &action, &program] {
    action = [command, &program] { return proof(*command, program); };
  });
}

}  // namespace symbiont::cli
