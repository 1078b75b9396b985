#ifndef SYMBIONT_CMD_SYMBIONT_RUNNER_H_
#define SYMBIONT_CMD_SYMBIONT_RUNNER_H_

// symbiont runner: tools for those who write runners.

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "cmd/symbiont/options.h"

namespace symbiont::cli {

/// `program`, the result of take_program() (sandbox.h), must outlive `app`.
void add_runner(CLI::App& app, Action& action, const std::vector<std::string>& program);

void add_runner_test(CLI::App& runner, Action& action, const std::vector<std::string>& program);

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_RUNNER_H_
