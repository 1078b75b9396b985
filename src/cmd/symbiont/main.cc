// symbiont: the command line. One file a command; see commands.h.

#include <algorithm>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/strings.h"
#include "cmd/symbiont/commands.h"
#include "cmd/symbiont/exit_codes.h"
#ifdef SYMBIONT_CLI_CONFIG
#include "cmd/symbiont/runner.h"
#include "cmd/symbiont/sandbox.h"
#endif
#include "cmd/symbiont/terminal.h"

namespace {

using namespace symbiont::cli;  // NOLINT(google-build-using-namespace): a main

void add_commands(CLI::App& app,
                  Action& action,
                  [[maybe_unused]] const std::vector<std::string>& program) {
  app.require_subcommand(1);
  app.footer("'symbiont COMMAND --help' shows the options of a command, with examples.");
#ifdef SYMBIONT_CLI_CONFIG
  add_init(app, action);
#endif
  add_run(app, action);
  add_chat(app, action);
#ifdef SYMBIONT_CLI_SERVE
  add_serve(app, action);
  add_key(app, action);
#endif
  add_models(app, action);
#ifdef SYMBIONT_CLI_CONFIG
  add_config(app, action);
  add_sandbox(app, action, program);
  add_runner(app, action, program);
  add_tune(app, action);
#endif
  add_inspect(app, action);
  add_doctor(app, action);
  add_completions(app, action);
  add_version(app, action);
}

/// The command that was parsed last, and how it is called.
const CLI::App& innermost(const CLI::App& app, std::string& name) {
  const CLI::App* current = &app;
  while (!current->get_subcommands().empty()) {
    current = current->get_subcommands().front();
    name += " " + current->get_name();
  }
  return *current;
}

/// The command or option that `word` was probably meant to be.
std::string nearest(const CLI::App& app, std::string_view word) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames())
      names.push_back("--" + name);
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  return std::string(symbiont::closest_match(word.substr(0, word.find('=')), views));
}

int usage_error(const CLI::App& app, const CLI::ParseError& error) {
  std::string name = "symbiont";
  const CLI::App& command = innermost(app, name);
  std::string message = error.what();
  std::string hint = fmt::format("'{} --help' shows what there is, with examples", name);
  const std::vector<std::string> extras = app.remaining(true);
  if (!extras.empty()) {
    message = fmt::format("'{}' does not know {}", name, symbiont::quoted(extras.front()));
    const std::string near = nearest(command, extras.front());
    if (near == extras.front()) {
      message = fmt::format("{} stands before the command", symbiont::quoted(near));
      hint = fmt::format("options go after it: {} {} ...", name, near);
    } else if (!near.empty()) {
      hint = fmt::format("did you mean '{}'? {}", near, hint);
    }
  }
  print_error(message, hint);
  return to_int(ExitCode::Usage);
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("Runs small language models, each execution inside a sandbox the kernel enforces",
               "symbiont");
  Action action;
  std::vector<std::string> program;  // of `symbiont sandbox` and `symbiont runner`
  add_commands(app, action, program);
  if (argc < 2) {
    write_stderr(app.help());
    return to_int(ExitCode::Usage);
  }
  const std::string_view first = argv[1];
  if (first == "--version") {
    const char* words[] = {argv[0], "version"};
    app.parse(2, words);
    return action();
  }
  std::vector<std::string> words(argv + 1, argv + argc);
#ifdef SYMBIONT_CLI_CONFIG
  program = take_program(app, words);
#endif
  std::ranges::reverse(words);  // as the parser takes them
  try {
    app.parse(std::move(words));
  } catch (const CLI::Success& request) {  // --help
    return app.exit(request);
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  }
  return action();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return parse_and_run(argc, argv);
  } catch (const std::exception& error) {
    print_error(error.what());
    return to_int(ExitCode::Other);
  }
}
