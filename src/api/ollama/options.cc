#include "api/ollama/options.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "symbiont/local_gguf_runner.h"

#include "api/request_fields.h"

namespace symbiont::api::ollama {
namespace {

constexpr std::string_view kDefaultTag = ":latest";
constexpr std::size_t kMaxDurationBytes = 64;

/// Ollama's own: the answer may fill what the prompt leaves of the context.
constexpr std::int64_t kUnlimited = -1;
constexpr std::int64_t kFillContext = -2;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void read_num_predict(Fields& options, ExecutionOptions& into) {
  std::int64_t count = kDefaultMaxTokens;
  if (!options.get("num_predict", count, Range<std::int64_t>{kFillContext, kMaxTokensLimit}))
    return;
  if (count == 0) return options.fail("num_predict", "expected -2, -1, or at least 1");
  const bool is_open = count == kUnlimited || count == kFillContext;
  into.max_tokens = is_open ? kMaxTokensLimit : static_cast<std::uint32_t>(count);
}

/// The engine's contexts have one size: a smaller one is as good as had, a larger one is not.
void read_num_ctx(Fields& options) {
  std::uint32_t context = 0;
  options.get("num_ctx", context, Range<std::uint32_t>{1, LocalGgufOptions{}.context_tokens});
}

void read_options(Fields& fields, ExecutionOptions& into) {
  const Json* value = fields.find("options");
  if (value == nullptr) return;
  Fields options(*value, "options");
  options.get("temperature", into.temperature, Range<float>{0, 2});
  options.get("top_k", into.top_k, Range<std::uint32_t>{0, 1'000'000});
  options.get("top_p", into.top_p, Range<float>{0, 1});
  options.get("min_p", into.min_p, Range<float>{0, 1});
  options.get("repeat_penalty", into.repeat_penalty, Range<float>{0.01F, 2});
  options.get("frequency_penalty", into.frequency_penalty, Range<float>{-2, 2});
  options.get("presence_penalty", into.presence_penalty, Range<float>{-2, 2});
  options.get("seed", into.seed, Range<std::uint64_t>{0, INT64_MAX});
  into.stop = read_stops(options, "stop", /*or_one=*/true);
  read_num_predict(options, into);
  read_num_ctx(options);
  for (const char* missing :
       {"num_keep", "typical_p", "tfs_z", "repeat_last_n", "penalize_newline", "mirostat",
        "mirostat_tau", "mirostat_eta", "numa", "num_batch", "num_gpu", "main_gpu", "num_thread",
        "use_mmap", "use_mlock", "low_vram", "f16_kv", "vocab_only", "logits_all"}) {
    options.unsupported(missing);
  }
  if (auto done = options.finish(); !done.has_value()) fields.fail(std::move(done).error());
}

void read_format(Fields& fields, ExecutionOptions& into) {
  const Json* value = fields.find("format");
  if (value == nullptr) return;
  if (value->is_string() && value->get_ref<const std::string&>().empty()) return;
  if (*value == "json") {
    into.json_schema = R"({"type":"object"})";
  } else if (value->is_object()) {
    into.json_schema = schema_text(fields, "format", *value);
  } else {
    fields.fail("format", R"(expected "json" or a JSON schema)");
  }
}

/// How long a worker stays warm is this server's own decision: what is asked for is checked only.
void read_keep_alive(Fields& fields) {
  const Json* value = fields.find("keep_alive");
  if (value == nullptr) return;
  const bool is_right = value->is_number()
                            ? std::isfinite(value->get<double>())
                            : value->is_string() && is_duration(value->get<std::string>());
  if (!is_right) {
    fields.fail("keep_alive", R"(expected seconds as a number, or a duration such as "5m")");
  }
}

}  // namespace

bool is_duration(std::string_view text) {
  if (text.size() > kMaxDurationBytes) return false;
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return true;
  bool has_parts = false;
  while (!text.empty()) {
    const auto number_end =
        std::ranges::find_if_not(text, [](char c) { return is_digit(c) || c == '.'; });
    const std::string_view number =
        text.substr(0, static_cast<std::size_t>(number_end - text.begin()));
    if (std::ranges::none_of(number, is_digit) || std::ranges::count(number, '.') > 1) return false;
    text.remove_prefix(number.size());
    constexpr std::string_view kUnits[] = {"ns", "us", "µs", "μs", "ms", "s", "m", "h"};
    const auto* unit = std::ranges::find_if(
        kUnits, [text](std::string_view candidate) { return text.starts_with(candidate); });
    if (unit == std::end(kUnits)) return false;
    text.remove_prefix(unit->size());
    has_parts = true;
  }
  return has_parts;
}

std::string resolve_model(const Gateway& gateway, std::string_view agent, const std::string& name) {
  const ModelCatalog catalog = gateway.engine->catalog();
  // A model of exactly this name comes first: an id may itself end in a tag.
  if (!name.ends_with(kDefaultTag) || catalog.validate_model_access(name, agent).has_value()) {
    return name;
  }
  return name.substr(0, name.size() - kDefaultTag.size());
}

void read_surroundings(Fields& fields) {
  read_keep_alive(fields);
  const Json* value = fields.find("options");
  if (value == nullptr) return;
  Fields options(*value, "options");
  read_num_ctx(options);
  if (auto done = options.finish(); !done.has_value()) fields.fail(std::move(done).error());
}

void read_common_fields(Fields& fields, ExecutionOptions& into) {
  into.max_tokens = kDefaultMaxTokens;
  read_options(fields, into);
  read_format(fields, into);
  read_keep_alive(fields);
  fields.unsupported_unless("think", false);
  fields.unsupported_unless("logprobs", false);
  fields.unsupported_unless("top_logprobs", 0);
  // A prompt or an answer that does not fit is never shortened in silence.
  fields.unsupported_unless("truncate", false);
  fields.unsupported_unless("shift", false);
}

}  // namespace symbiont::api::ollama
