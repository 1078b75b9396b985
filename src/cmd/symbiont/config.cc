// symbiont config check: everything wrong with a configuration, at once.

#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "symbiont/catalog.h"

#include "cmd/symbiont/commands.h"
#include "cmd/symbiont/terminal.h"
#include "observe/json.h"

namespace symbiont::cli {
namespace {

struct CheckCommand {
  std::string config;
  std::string file;
  bool strict = false;
  bool json = false;
};

struct Problems {
  std::vector<ConfigProblem> errors;
  std::vector<ConfigProblem> warnings;
};

observe::Json to_json(const std::vector<ConfigProblem>& problems) {
  observe::Json list = observe::Json::array();
  for (const ConfigProblem& problem : problems) {
    list.push_back({{"file", problem.file},
                    {"line", problem.line},
                    {"column", problem.column},
                    {"key", problem.key},
                    {"message", problem.message},
                    {"suggestion", problem.suggestion}});
  }
  return list;
}

std::string counted(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

/// Problems go to standard output: they are what was asked for.
std::string to_text(const Problems& problems, const std::string& path, const std::string& summary) {
  const bool colour = wants_colour(STDOUT_FILENO);
  std::string out;
  for (const ConfigProblem& problem : problems.errors)
    out += painted(Paint::Red, "error: ", colour) + printable(problem.to_string()) + "\n";
  for (const ConfigProblem& problem : problems.warnings)
    out += painted(Paint::Yellow, "warning: ", colour) + printable(problem.to_string()) + "\n";
  const bool clean = problems.errors.empty() && problems.warnings.empty();
  return out + fmt::format("{}: {}\n", printable(path),
                           clean ? painted(Paint::Green, summary, colour) : summary);
}

int check(const CheckCommand& command) {
  const auto path = find_config(command.file.empty() ? command.config : command.file);
  if (path.empty()) {
    return report(Failure{ExitCode::Configuration, "InvalidConfig", "there is no configuration",
                          "name a file: symbiont config check FILE"},
                  command.json);
  }
  Problems problems;
  std::string summary;
  if (auto slm = Slm::from_file(path); slm.has_value()) {
    problems.warnings = slm->warnings;
    if (const auto catalog = ModelCatalog::create(*slm); catalog.has_value()) {
      const CatalogStatistics statistics = catalog->get_statistics();
      summary = fmt::format("ok, {}, {}, {}", counted(statistics.total_models, "model"),
                            counted(statistics.total_agents, "agent"),
                            counted(statistics.total_sandbox_profiles, "sandbox profile"));
    } else if (slm->enabled) {
      ConfigProblem problem;
      problem.file = path.string();
      problem.message = catalog.error().message();
      problems.errors.push_back(std::move(problem));
    } else {
      summary = "ok, switched off (slm.enabled = false)";
    }
  } else {
    problems = {slm.error().errors, slm.error().warnings};
  }
  const bool bad = !problems.errors.empty() || (command.strict && !problems.warnings.empty());
  if (!problems.errors.empty() || !problems.warnings.empty()) {
    const std::string counts = fmt::format("{}, {}", counted(problems.errors.size(), "error"),
                                           counted(problems.warnings.size(), "warning"));
    summary = summary.empty() ? counts : summary + "; " + counts;
  }
  std::string text = to_text(problems, path.string(), summary);
  if (command.json) {
    const observe::Json json = {{"file", path.string()},
                                {"ok", !bad},
                                {"errors", to_json(problems.errors)},
                                {"warnings", to_json(problems.warnings)}};
    text = observe::dump(json) + "\n";
  }
  if (!write_stdout(text).has_value()) return to_int(ExitCode::ReaderGone);
  return to_int(bad ? ExitCode::Configuration : ExitCode::Ok);
}

}  // namespace

void add_config(CLI::App& app, Action& action) {
  CLI::App* config = app.add_subcommand("config", "Check the configuration");
  config->require_subcommand(1);
  config->footer("Examples:\n  symbiont config check\n  symbiont config check --strict site.toml");
  auto command = std::make_shared<CheckCommand>();
  CLI::App* sub = config->add_subcommand("check", "Print every problem of a configuration");
  sub->add_option("file", command->file, "the file [as --config]");
  add_config_option(*sub, command->config);
  sub->add_flag("--strict", command->strict, "warnings are errors");
  sub->add_flag("--json", command->json, "as one JSON object");
  sub->footer(
      "Each problem is one line: FILE:LINE:COLUMN: KEY: MESSAGE. Exits with 3 on errors.\n\n"
      "Examples:\n  symbiont config check\n  symbiont config check --strict site.toml");
  sub->callback([command, &action] { action = [command] { return check(*command); }; });
}

}  // namespace symbiont::cli
