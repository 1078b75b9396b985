// symbiont inspect: what a GGUF file says about itself, without loading it.

#include <memory>
#include <string>

#include <fmt/format.h>

#include "base/file.h"
#include "base/strings.h"
#include "cmd/symbiont/commands.h"
#include "cmd/symbiont/terminal.h"
#include "gguf/describe.h"
#include "gguf/header.h"

namespace symbiont::cli {
namespace {

struct InspectCommand {
  std::string file;
  bool json = false;
};

Failure file_failure(const Error& error, std::string_view file) {
  const bool absent = error.code() == ErrorCode::NotFound;
  return {ExitCode::ModelNotFound, absent ? "ModelFileNotFound" : "ModelInvalid",
          error.message().find(file) == std::string::npos
              ? fmt::format("{}: {}", quoted(file), error.message())
              : error.message(),
          absent ? "check the path" : "this is no GGUF model, or it is damaged: download it again"};
}

int inspect(const InspectCommand& command) {
  const auto fd = open_regular_file(command.file);
  if (!fd.has_value()) return report(file_failure(fd.error(), command.file), command.json);
  const auto header = gguf::read_header(fd->get());
  if (!header.has_value()) return report(file_failure(header.error(), command.file), command.json);
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
