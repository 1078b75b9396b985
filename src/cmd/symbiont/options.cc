#include "cmd/symbiont/options.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <utility>

#include <fmt/format.h>

namespace symbiont::cli {
namespace {

std::filesystem::path variable_path(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here sets it
  return value == nullptr ? std::filesystem::path() : std::filesystem::path(value);
}

bool is_file(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

void add_sampling_options(CLI::App& command, RunOptions& options) {
  ExecutionOptions& execution = options.execution;
  const std::string group = "Answer";
  command.add_option("--max-tokens", execution.max_tokens, "most new tokens of an answer")
      ->capture_default_str()
      ->type_name("N")
      ->group(group);
  command
      .add_option("--temperature", execution.temperature, "0 = always the likeliest token, to 2")
      ->default_str("0.7")
      ->type_name("T")
      ->group(group);
  command.add_option("--seed", options.seed, "the same seed gives the same answer")
      ->type_name("N")
      ->group(group);
  command.add_option("--stop", execution.stop, "end the answer before this text; repeatable")
      ->type_name("TEXT")
      ->allow_extra_args(false)
      ->group(group);
  command
      .add_option("--timeout", options.timeout_text,
                  "longest wait for an answer: 30, 30s, 2m, "
                  "500ms")
      ->capture_default_str()
      ->type_name("TIME")
      ->group(group);
  command.add_option("--system", execution.system_prompt, "instructions in front of the prompt")
      ->type_name("TEXT")
      ->group(group);
}

}  // namespace

void add_config_option(CLI::App& command, std::string& config) {
  command
      .add_option("--config", config,
                  "configuration file [$SYMBIONT_CONFIG, ./symbiont.toml, "
                  "~/.config/symbiont/symbiont.toml]")
      ->type_name("FILE");
}

void add_run_options(CLI::App& command, RunOptions& options) {
  command.add_option("-m,--model", options.model, "id in the catalogue, or path of a GGUF file")
      ->type_name("ID|PATH");
  add_config_option(command, options.config);
  command.add_option("--agent", options.agent, "who asks; its access to the model is checked")
      ->type_name("NAME");
  add_sampling_options(command, options);
  const std::string group = "Sandbox";
  command.add_option("--profile", options.profile, "sandbox profile of the configuration")
      ->type_name("NAME")
      ->group(group);
  command
      .add_option("--set", options.sets,
                  "change one field of the profile for this run, as in "
                  "resources.max_memory_mb=1024; repeatable")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false)
      ->group(group);
  command
      .add_flag("--degraded", options.degraded,
                "run even when this host cannot enforce a control (it is named in the result)")
      ->group(group);
  command.add_flag("-q,--quiet", options.quiet, "no progress, no notes, no warnings");
}

std::expected<ExecutionOptions, Failure> execution_options(const RunOptions& options) {
  ExecutionOptions execution = options.execution;
  const auto timeout = parse_duration(options.timeout_text);
  if (!timeout.has_value()) {
    return std::unexpected(
        usage_failure(fmt::format("--timeout: '{}' is not a time above zero", options.timeout_text),
                      "write 30, 30s, 2m, 1h or 500ms"));
  }
  execution.timeout = *timeout;
  execution.seed = options.seed;
  return execution;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto parsed =
      std::from_chars(std::to_address(text.begin()), end, value, std::chars_format::fixed);
  if (parsed.ec != std::errc{} || !std::isfinite(value)) return std::nullopt;
  const std::string_view unit(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
  double scale = 0;
  if (unit == "ms") scale = 1;
  if (unit.empty() || unit == "s") scale = 1000;
  if (unit == "m") scale = 60'000;
  if (unit == "h") scale = 3'600'000;
  constexpr double kMaxMs = 366.0 * 24 * 3'600'000;
  const double total = std::round(value * scale);
  if (total < 1 || total > kMaxMs) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(total));
}

std::filesystem::path find_config(const std::string& given) {
  if (!given.empty()) return given;
  if (auto path = variable_path("SYMBIONT_CONFIG"); !path.empty()) return path;
  if (is_file("symbiont.toml")) return "symbiont.toml";
  std::filesystem::path home = variable_path("XDG_CONFIG_HOME");
  if (home.empty() && !variable_path("HOME").empty()) home = variable_path("HOME") / ".config";
  if (home.empty()) return {};
  const std::filesystem::path path = home / "symbiont" / "symbiont.toml";
  return is_file(path) ? path : std::filesystem::path();
}

}  // namespace symbiont::cli
