// symbiont tune: a copy of a model that this machine reads and writes faster.

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/strings.h"
#include "cmd/symbiont/commands.h"
#include "cmd/symbiont/interrupt.h"
#include "cmd/symbiont/model_file.h"
#include "cmd/symbiont/sandbox_fields.h"
#include "cmd/symbiont/table.h"
#include "cmd/symbiont/terminal.h"
#include "cmd/symbiont/tune_convert.h"
#include "cmd/symbiont/tune_measure.h"
#include "gguf/describe.h"
#include "observe/json.h"

namespace symbiont::cli {
namespace {

namespace fs = std::filesystem;

/// Raised when a key changes its meaning or goes away; a new key does not raise it.
constexpr int kSchema = 1;
constexpr double kFaster = 1.05;  ///< below, a difference is the machine's mood
constexpr double kSlower = 0.95;

struct TuneCommand {
  std::string model;
  std::string copy;
  std::string type = "Q8_0";
  bool force = false;
  bool unmeasured = false;
  bool degraded = false;
  bool json = false;
};

struct Tuned {
  fs::path model;
  fs::path copy;
  std::uint64_t model_bytes = 0;
  std::uint64_t copy_bytes = 0;
  std::optional<Comparison> comparison;
};

std::expected<const WeightType*, Failure> find_type(const std::string& name) {
  std::string names;
  for (const WeightType& type : weight_types()) {
    if (type.name == name) return &type;
    names += (names.empty() ? "" : ", ") + std::string(type.name);
  }
  return std::unexpected(
      usage_failure(fmt::format("--to: there is no type {}", symbiont::quoted(name)),
                    fmt::format("types are {}", names)));
}

std::expected<fs::path, Failure> place_of(const TuneCommand& command, const fs::path& model) {
  if (!command.copy.empty()) return absolute_path("copy", command.copy);
  return model.parent_path() / fmt::format("{}.{}.gguf", model.stem().string(), command.type);
}

Failure is_there(const fs::path& place) {
  return usage_failure(fmt::format("{} is there already", symbiont::quoted(place.string())),
                       "name another file, or replace it with --force");
}

Failure is_model(const fs::path& place) {
  return usage_failure(fmt::format("{} is the model itself", symbiont::quoted(place.string())),
                       "name another file for the copy");
}

/// 0 where the original's speed is not known.
double ratio(double copy, double original) {
  return original <= 0 ? 0 : copy / original;
}

std::string_view advice(const Comparison& measured) {
  const double reading = ratio(measured.copy.reading, measured.original.reading);
  const double writing = ratio(measured.copy.writing, measured.original.writing);
  const double together = ratio(measured.copy.together, measured.original.together);
  if (std::min({reading, writing, together}) >= kSlower &&
      std::max({reading, writing, together}) >= kFaster) {
    return "the copy is faster here: name it in the place of the model";
  }
  if (together >= kFaster) return "the copy is faster here for many answers at once only";
  return "the copy is not faster here: keep the model";
}

std::string table_of(const Comparison& measured) {
  Table table({"tokens a second", "model", "copy", "ratio"});
  const auto row = [&table](const char* what, double original, double copy) {
    table.add({{.text = what},
               {.text = fmt::format("{:.1f}", original), .right = true},
               {.text = fmt::format("{:.1f}", copy), .right = true},
               {.text = fmt::format("{:.2f}", ratio(copy, original)), .right = true}});
  };
  row("reading a prompt", measured.original.reading, measured.copy.reading);
  row("writing one answer", measured.original.writing, measured.copy.writing);
  row("16 answers at once", measured.original.together, measured.copy.together);
  return table.to_string(wants_colour(STDOUT_FILENO));
}

std::string to_text(const Tuned& tuned) {
  std::string text =
      fmt::format("{} is written: {}, the model has {}\n", printable(tuned.copy.string()),
                  gguf::human_bytes(tuned.copy_bytes), gguf::human_bytes(tuned.model_bytes));
  if (!tuned.comparison.has_value()) return text;
  const Comparison& measured = *tuned.comparison;
  text += "\n" + table_of(measured);
  text += fmt::format("\nthe same next token in {} of {} places at temperature 0", measured.alike,
                      measured.choices);
  return text + fmt::format("\n{}\n", advice(measured));
}

observe::Json to_json(const Speed& speed) {
  return {{"reading", speed.reading}, {"writing", speed.writing}, {"together", speed.together}};
}

std::string to_json(const Tuned& tuned, const std::string& type) {
  observe::Json json = {
      {"schema", kSchema},
      {"model", {{"path", tuned.model.string()}, {"bytes", tuned.model_bytes}}},
      {"copy", {{"path", tuned.copy.string()}, {"bytes", tuned.copy_bytes}, {"type", type}}}};
  if (tuned.comparison.has_value()) {
    const Comparison& measured = *tuned.comparison;
    json["tokens_per_second"] = {{"model", to_json(measured.original)},
                                 {"copy", to_json(measured.copy)}};
    json["next_token"] = {{"places", measured.choices}, {"alike", measured.alike}};
    json["advice"] = advice(measured);
  }
  return observe::dump(json) + "\n";
}

/// Converts, looks at what came out, and puts it in its place.
std::expected<Tuned, Failure> make_copy(const TuneCommand& command,
                                        const std::stop_token& stop_token) {
  Tuned tuned;
  SYMBIONT_TRY(const WeightType* type, find_type(command.type));
  SYMBIONT_TRY(tuned.model, absolute_path("model", command.model));
  SYMBIONT_TRY(const gguf::Header header, read_model_header(tuned.model.string()));
  SYMBIONT_TRY(tuned.copy, place_of(command, tuned.model));
  std::error_code error;
  if (!command.force && fs::exists(fs::symlink_status(tuned.copy, error)))
    return std::unexpected(is_there(tuned.copy));
  if (fs::equivalent(tuned.model, tuned.copy, error)) return std::unexpected(is_model(tuned.copy));
  SYMBIONT_TRY(UnfinishedFile file, UnfinishedFile::open(tuned.copy));
  {
    LoadProgress progress("converting", is_terminal(STDERR_FILENO));
    SYMBIONT_TRY_STATUS(convert(
        {.model = tuned.model, .copy = file.path(), .type = type, .strict = !command.degraded},
        header, [&](float fraction) { progress.update(fraction); }, stop_token));
  }
  // A confined process made it: it is looked at as any model is.
  SYMBIONT_TRY(const gguf::Header made, read_model_header(file.path().string()));
  tuned.model_bytes = header.file_bytes;
  tuned.copy_bytes = made.file_bytes;
  if (const Status placed = file.publish(command.force); !placed.has_value()) {
    if (placed.error().sys_errno() == EEXIST) return std::unexpected(is_there(tuned.copy));
    return std::unexpected(to_failure(placed.error()));
  }
  return tuned;
}

std::expected<Tuned, Failure> make_and_measure(const TuneCommand& command,
                                               const std::stop_token& stop_token) {
  SYMBIONT_TRY(Tuned tuned, make_copy(command, stop_token));
  if (command.unmeasured) return tuned;
  LoadProgress progress("measuring both", is_terminal(STDERR_FILENO));
  SYMBIONT_TRY(tuned.comparison,
               compare(
                   tuned.model, tuned.copy, !command.degraded,
                   [&](float fraction) { progress.update(fraction); }, stop_token));
  return tuned;
}

int tune(const TuneCommand& command) {
  auto interrupt = Interrupt::install();
  if (!interrupt.has_value()) return report(to_failure(interrupt.error()), command.json);
  const auto tuned = make_and_measure(command, (*interrupt)->token());
  if (!tuned.has_value()) {
    const int code = report(tuned.error(), command.json);
    return (*interrupt)->signal() == 0 ? code : 128 + (*interrupt)->signal();
  }
  const std::string text = command.json ? to_json(*tuned, command.type) : to_text(*tuned);
  return write_stdout(text).has_value() ? 0 : to_int(ExitCode::ReaderGone);
}

}  // namespace

void add_tune(CLI::App& app, Action& action) {
  auto command = std::make_shared<TuneCommand>();
  CLI::App* sub =
      app.add_subcommand("tune",
                         "Make a copy of a model with weights that this machine is faster "
                         "with, and measure it");
  sub->add_option("model", command->model, "the GGUF file; it stays as it is")->required();
  sub->add_option("copy", command->copy, "where the copy goes [MODEL.TYPE.gguf beside the model]");
  sub->add_option("--to", command->type, "type of the weights: Q8_0, Q4_0 or F16")
      ->type_name("TYPE")
      ->capture_default_str();
  sub->add_flag("--force", command->force, "replace the copy if it is there");
  sub->add_flag("--no-measure", command->unmeasured, "only make the copy");
  sub->add_flag("--degraded", command->degraded,
                "run even when this host cannot enforce a control of the sandbox");
  sub->add_flag("--json", command->json, "one JSON object on standard output, at the end");
  sub->footer(
      R"(llama.cpp has fast code for some types of weights only; Q8_0 and F16 hold what finer types hold, with
rounding far below theirs, and take more memory; Q4_0 takes less and loses some quality. The model is
converted inside the sandbox, which shows the converter this file and its copy only. Then both answer
the same questions, and a table says what it brings; nobody uses the copy until you name it.

Examples:
  symbiont tune model.gguf
  symbiont tune model.gguf fast.gguf && symbiont serve --model fast.gguf
  symbiont tune model.gguf --to Q4_0 --json | jq .tokens_per_second)");
  sub->callback([command, &action] { action = [command] { return tune(*command); }; });
}

}  // namespace symbiont::cli
