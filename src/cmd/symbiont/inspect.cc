// symbiont inspect: what a GGUF file says about itself, without loading it.

#include <memory>
#include <string>

#include "cmd/symbiont/commands.h"
#include "cmd/symbiont/model_file.h"
#include "cmd/symbiont/terminal.h"
#include "gguf/describe.h"

namespace symbiont::cli {
namespace {

struct InspectCommand {
  std::string file;
  bool json = false;
};

int inspect(const InspectCommand& command) {
  const auto header = read_model_header(command.file);
  if (!header.has_value()) return report(header.error(), command.json);
  const std::string text = command.json ? gguf::describe_json(*header, command.file)
                                        : gguf::describe_text(*header, command.file);
  return write_stdout(text).has_value() ? 0 : to_int(ExitCode::ReaderGone);
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  auto command = std::make_shared<InspectCommand>();
  CLI::App* sub = app.add_subcommand("inspect", "Show metadata and tensors of a GGUF file");
  sub->add_option("file", command->file, "the model file; only its header is read")->required();
  sub->add_flag("--json", command->json, "as one JSON object");
  sub->footer("Examples:\n  symbiont inspect model.gguf\n  symbiont inspect model.gguf --json");
  sub->callback([command, &action] { action = [command] { return inspect(*command); }; });
}

}  // namespace symbiont::cli
