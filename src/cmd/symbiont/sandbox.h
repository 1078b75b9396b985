#ifndef SYMBIONT_CMD_SYMBIONT_SANDBOX_H_
#define SYMBIONT_CMD_SYMBIONT_SANDBOX_H_

// symbiont sandbox: any program under any profile.

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "cmd/symbiont/options.h"

namespace symbiont::cli {

/// Takes the program to run and its arguments out of a command line of `symbiont sandbox` or
/// `symbiont runner`: they are what follows the options, with or without "--", and no option parser
/// may look into them. The rest stays in `words` (without the name of this program); behind a
/// command that there is not, nothing does. `app` knows which options have values.
[[nodiscard]] std::vector<std::string> take_program(const CLI::App& app,
                                                    std::vector<std::string>& words);

/// `program`, the result of take_program(), must outlive `app`.
void add_sandbox(CLI::App& app, Action& action, const std::vector<std::string>& program);

void add_sandbox_exec(CLI::App& sandbox, Action& action, const std::vector<std::string>& program);
void add_sandbox_proof(CLI::App& sandbox, Action& action, const std::vector<std::string>& program);

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_SANDBOX_H_
