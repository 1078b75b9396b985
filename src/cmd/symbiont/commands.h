#ifndef SYMBIONT_CMD_SYMBIONT_COMMANDS_H_
#define SYMBIONT_CMD_SYMBIONT_COMMANDS_H_

#include <CLI/CLI.hpp>

#include "cmd/symbiont/options.h"

namespace symbiont::cli {

// Each registers one command on `app`; parsing it puts what it does into `action`, which must
// outlive `app`.
void add_init(CLI::App& app, Action& action);
void add_run(CLI::App& app, Action& action);
void add_chat(CLI::App& app, Action& action);
void add_serve(CLI::App& app, Action& action);
void add_key(CLI::App& app, Action& action);
void add_models(CLI::App& app, Action& action);
void add_config(CLI::App& app, Action& action);
void add_tune(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_doctor(CLI::App& app, Action& action);
void add_version(CLI::App& app, Action& action);
void add_completions(CLI::App& app, Action& action);

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_COMMANDS_H_
