// symbiont: the command line. One file a command; see commands.h.

#include <csignal>
#include <exception>

#include <CLI/CLI.hpp>

#include "cmd/symbiont/commands.h"
#include "cmd/symbiont/exit_codes.h"
#include "cmd/symbiont/terminal.h"

namespace {

using namespace symbiont::cli;  // NOLINT(google-build-using-namespace): a main

void add_commands(CLI::App& app, Action& action) {
  app.require_subcommand(1);
  app.footer("'symbiont COMMAND --help' shows the options of a command, with examples.");
  add_run(app, action);
#ifdef SYMBIONT_CLI_CONFIG
  add_config(app, action);
#endif
  add_inspect(app, action);
  add_doctor(app, action);
  add_version(app, action);
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("Runs small language models, each execution inside a sandbox the kernel enforces",
               "symbiont");
  Action action;
  add_commands(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help
    return app.exit(request);
  } catch (const CLI::ParseError& error) {
    print_error(error.what(), "'symbiont --help' lists the commands");
    return to_int(ExitCode::Usage);
  }
  return action();
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that went away shows as a failed write, so that the worker is ended in order.
  (void)std::signal(SIGPIPE, SIG_IGN);
  try {
    return parse_and_run(argc, argv);
  } catch (const std::exception& error) {
    print_error(error.what());
    return to_int(ExitCode::Other);
  }
}
