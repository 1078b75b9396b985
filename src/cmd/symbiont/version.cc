// symbiont version: ours, the compiler's, the engine's.

#include "symbiont/version.h"

#include <memory>

#include <fmt/format.h>

#include "cmd/symbiont/commands.h"
#include "cmd/symbiont/terminal.h"
#include "observe/json.h"

namespace symbiont::cli {
namespace {

#if defined(__clang__)
constexpr std::string_view kCompiler = "clang " __clang_version__;
#else
constexpr std::string_view kCompiler = "g++ " __VERSION__;
#endif

int print_version(bool json) {
  std::string text = fmt::format("symbiont {}\nengine    {}\ncompiler  {}\n", kVersion,
                                 SYMBIONT_ENGINE_VERSION, kCompiler);
  if (json) {
    const observe::Json object = {
        {"version", kVersion}, {"engine", SYMBIONT_ENGINE_VERSION}, {"compiler", kCompiler}};
    text = observe::dump(object) + "\n";
  }
  return write_stdout(text).has_value() ? 0 : to_int(ExitCode::ReaderGone);
}

}  // namespace

void add_version(CLI::App& app, Action& action) {
  auto json = std::make_shared<bool>(false);
  CLI::App* sub = app.add_subcommand("version", "Print versions");
  sub->add_flag("--json", *json, "as one JSON object");
  sub->footer("Examples:\n  symbiont version\n  symbiont version --json");
  sub->callback([json, &action] { action = [json] { return print_version(*json); }; });
}

}  // namespace symbiont::cli
