#include "cmd/symbiont/runner.h"

namespace symbiont::cli {

void add_runner(CLI::App& app, Action& action, const std::vector<std::string>& program) {
  CLI::App* sub = app.add_subcommand("runner", "Tools for those who write runners");
  sub->require_subcommand(1);
  add_runner_test(*sub, action, program);
  sub->footer(
      "Examples:\n  symbiont runner test --read /srv/engine -- /usr/bin/python3 "
      "/srv/engine/echo_runner.py");
}

}  // namespace symbiont::cli
