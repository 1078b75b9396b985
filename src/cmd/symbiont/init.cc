// symbiont init: a commented starter configuration for the model at hand.

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <expected>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "symbiont/catalog.h"

#include "base/file.h"
#include "base/strings.h"
#include "cmd/symbiont/commands.h"
#include "cmd/symbiont/exit_codes.h"
#include "cmd/symbiont/model_file.h"
#include "cmd/symbiont/starter_config.h"
#include "cmd/symbiont/terminal.h"
#include "gguf/describe.h"
#include "observe/json.h"

namespace symbiont::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFound = 32;        ///< models that a listing names
constexpr std::size_t kMaxLookedAt = 4'096;  ///< entries of a folder

struct InitCommand {
  std::string model;
  std::string output = "symbiont.toml";
  bool force = false;
  bool json = false;
};

/// Where scripts/bootstrap puts the default model.
fs::path model_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");  // NOLINT(concurrency-mt-unsafe)
  if (cache != nullptr && *cache != '\0') return fs::path(cache) / "symbiont" / "models";
  const char* home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe)
  return home == nullptr ? fs::path() : fs::path(home) / ".cache" / "symbiont" / "models";
}

/// The GGUF files of a folder, by name. One that cannot be read has none.
void find_models(const fs::path& folder, std::vector<fs::path>& into) {
  std::vector<fs::path> here;
  std::error_code ignored;
  std::size_t looked_at = 0;
  for (fs::directory_iterator entry(folder, ignored); entry != fs::directory_iterator();
       entry.increment(ignored)) {
    if (ignored || ++looked_at > kMaxLookedAt) break;
    if (entry->path().extension() != ".gguf") continue;
    if (entry->is_regular_file(ignored)) here.push_back(entry->path());
  }
  std::ranges::sort(here);
  into.insert(into.end(), here.begin(), here.end());
}

std::string listing(const std::vector<fs::path>& found) {
  std::string text;
  for (std::size_t i = 0; i < found.size() && i < kMaxFound; ++i) {
    std::error_code ignored;
    text += fmt::format("\n  {} ({})", printable(found[i].string()),
                        gguf::human_bytes(fs::file_size(found[i], ignored)));
  }
  if (found.size() > kMaxFound) text += fmt::format("\n  and {} more", found.size() - kMaxFound);
  return text;
}

/// The file that was named, or the only one there is.
std::expected<fs::path, Failure> choose_model(const InitCommand& command) {
  if (!command.model.empty()) return command.model;
  std::vector<fs::path> found;
  const fs::path folder = model_folder();
  find_models(".", found);
  find_models(folder, found);
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return std::unexpected(Failure{
        ExitCode::ModelNotFound, "ModelNotFound",
        fmt::format("no GGUF file in this folder nor in {}", symbiont::quoted(folder.string())),
        "name one: symbiont init path/to/model.gguf; 'scripts/bootstrap' fetches a small one"});
  }
  return std::unexpected(usage_failure("there are several models:" + listing(found),
                                       "name one: symbiont init " + found.front().string()));
}

/// What is written has to be what everything else reads.
std::expected<void, Failure> check(const std::string& text, const fs::path& output) {
  auto slm = Slm::from_toml(text, output.string());
  if (!slm.has_value()) {
    Failure failure = to_failure(slm.error());
    failure.hint = "a configuration cannot name this file: give it another name";
    return std::unexpected(std::move(failure));
  }
  const auto catalog = ModelCatalog::create(*slm);
  if (!catalog.has_value()) return std::unexpected(to_failure(catalog.error()));
  return {};
}

std::expected<void, Failure> write(const InitCommand& command, const std::string& text) {
  const IfThere if_there = command.force ? IfThere::Replace : IfThere::Refuse;
  const Status done = write_file(command.output, text, 0644, if_there);
  if (done.has_value()) return {};
  if (done.error().sys_errno() == EEXIST) {
    return std::unexpected(
        usage_failure(symbiont::quoted(command.output) + " is there already, and stays as it is",
                      "--force replaces it, --output FILE writes another"));
  }
  Failure failure = to_failure(done.error());
  if (done.error().sys_errno() != 0) {
    failure.message = fmt::format("cannot write {}: {}", symbiont::quoted(command.output),
                                  errno_text(done.error().sys_errno()));
  }
  failure.hint = "--output FILE writes elsewhere";
  return std::unexpected(std::move(failure));
}

int print_done(const InitCommand& command, const StarterModel& model) {
  std::string text;
  if (command.json) {
    observe::Json json = {{"file", command.output},
                          {"model",
                           {{"id", model.id},
                            {"name", model.name},
                            {"file_path", model.path.string()},
                            {"bytes", model.bytes},
                            {"context_length", nullptr},
                            {"capabilities", model.capabilities}}},
                          {"profile", {{"max_memory_mb", model.memory_mb}}}};
    if (model.context_tokens.has_value()) {
      json["model"]["context_length"] = *model.context_tokens;
    }
    text = observe::dump(json) + "\n";
  } else {
    const std::string config =
        command.output == "symbiont.toml" ? "" : " --config " + command.output;
    text = fmt::format(
        "{} is written: model {} ({}), its worker may use {} MiB of memory.\n\n"
        "Next:\n  symbiont run{} \"Write a haiku about rain\"\n  symbiont serve{}\n",
        printable(command.output), model.id, gguf::human_bytes(model.bytes), model.memory_mb,
        printable(config), printable(config));
  }
  return write_stdout(text).has_value() ? 0 : to_int(ExitCode::ReaderGone);
}

std::expected<StarterModel, Failure> make(const InitCommand& command) {
  SYMBIONT_TRY(const fs::path chosen, choose_model(command));
  SYMBIONT_TRY(const gguf::Header header, read_model_header(chosen.string()));
  std::error_code error;
  const fs::path path = fs::absolute(chosen, error).lexically_normal();
  if (error) return std::unexpected(usage_failure(error.message()));
  StarterModel model = describe_for_starter(header, path, std::thread::hardware_concurrency());
  const std::string text = starter_config(model);
  SYMBIONT_TRY_STATUS(check(text, command.output));
  SYMBIONT_TRY_STATUS(write(command, text));
  return model;
}

int init(const InitCommand& command) {
  const auto model = make(command);
  if (!model.has_value()) return report(model.error(), command.json);
  return print_done(command, *model);
}

}  // namespace

void add_init(CLI::App& app, Action& action) {
  auto command = std::make_shared<InitCommand>();
  CLI::App* sub = app.add_subcommand("init", "Write a commented configuration for a model");
  sub->add_option("model", command->model,
                  "a GGUF file; only its header is read [the only one in this folder and in "
                  "~/.cache/symbiont/models]")
      ->type_name("FILE");
  sub->add_option("-o,--output", command->output, "the file to write")
      ->capture_default_str()
      ->type_name("FILE");
  sub->add_flag("--force", command->force, "replace a file that is there");
  sub->add_flag("--json", command->json, "what was written, as one JSON object");
  sub->footer(
      "Examples:\n  symbiont init model.gguf && symbiont run \"Write a haiku about rain\"\n"
      "  symbiont init                                  # lists the models here, or takes the only "
      "one\n"
      "  symbiont init model.gguf --output site.toml    # then: symbiont serve --config "
      "site.toml\n\n"
      "Exit codes: 0 written, 2 there is a file already or several models, 5 no model or no GGUF "
      "file.");
  sub->callback([command, &action] { action = [command] { return init(*command); }; });
}

}  // namespace symbiont::cli
