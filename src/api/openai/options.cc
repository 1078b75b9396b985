#include "api/openai/options.h"

#include <charconv>
#include <map>
#include <string>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "api/answer.h"
#include "api/request_fields.h"

namespace symbiont::api::openai {
namespace {

void read_max_tokens(Fields& fields, std::optional<std::uint32_t>& into) {
  constexpr Range<std::uint32_t> kRange{1, kMaxTokensLimit};
  std::optional<std::uint32_t> older;
  fields.get("max_tokens", older, kRange);
  fields.get("max_completion_tokens", into, kRange);
  if (into.has_value() && older.has_value() && into != older) {
    fields.fail("max_tokens", "differs from max_completion_tokens");
  }
  if (!into.has_value()) into = older;
}

void read_stream(Fields& fields, CommonFields& into) {
  fields.get("stream", into.stream);
  const Json* options = fields.find("stream_options");
  if (options == nullptr) return;
  if (!into.stream) return fields.fail("stream_options", "only allowed with stream");
  Fields inner(*options, fields.path_of("stream_options"));
  inner.get("include_usage", into.include_usage);
  bool obfuscation = false;  // padding against observers of packet sizes
  if (inner.get("include_obfuscation", obfuscation) && obfuscation) {
    inner.unsupported("include_obfuscation");
  }
  if (auto done = inner.finish(); !done.has_value()) fields.fail(std::move(done).error());
}

/// Tags of the caller's own: checked, and by their definition without effect on the answer.
void read_tags(Fields& fields) {
  std::string user;
  fields.get("user", user, kMaxTagLength);
  const Json* metadata = fields.find("metadata");
  if (metadata == nullptr) return;
  if (!metadata->is_object() || metadata->size() > kMaxMetadataPairs) {
    return fields.fail("metadata",
                       fmt::format("expected an object of at most {} strings", kMaxMetadataPairs));
  }
  for (const auto& [name, value] : metadata->items()) {
    if (!value.is_string() || name.size() > kMaxTagLength ||
        value.get_ref<const std::string&>().size() > kMaxTagLength) {
      return fields.fail("metadata", fmt::format("names and values are strings of at most {} bytes",
                                                 kMaxTagLength));
    }
  }
}

/// Token ids in strings, as JSON has no other names.
void read_logit_bias(Fields& fields, std::map<std::uint32_t, float>& into) {
  const Json* value = fields.find("logit_bias");
  if (value == nullptr) return;
  if (!value->is_object()) return fields.fail("logit_bias", "expected an object", "invalid_type");
  if (value->size() > kMaxBiases)
    return fields.fail("logit_bias", fmt::format("at most {} tokens are accepted", kMaxBiases));
  for (const auto& [token, bias] : value->items()) {
    std::uint32_t id = 0;
    const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), id);
    if (error != std::errc() || end != token.data() + token.size())
      return fields.fail("logit_bias", "a name is not a token id");
    if (!bias.is_number() || bias.get<double>() < -100 || bias.get<double>() > 100)
      return fields.fail("logit_bias", "a bias is not a number within -100 .. 100");
    into[id] = bias.get<float>();
  }
}

}  // namespace

CommonFields read_common_fields(Fields& fields) {
  CommonFields into;
  into.model = read_model(fields);
  fields.get("temperature", into.temperature, Range<float>{0, 2});
  fields.get("top_p", into.top_p, Range<float>{0, 1});
  fields.get("top_k", into.top_k, Range<std::uint32_t>{0, 1'000'000});
  fields.get("min_p", into.min_p, Range<float>{0, 1});
  fields.get("repeat_penalty", into.repeat_penalty, Range<float>{0.01F, 2});
  fields.get("frequency_penalty", into.frequency_penalty, Range<float>{-2, 2});
  fields.get("presence_penalty", into.presence_penalty, Range<float>{-2, 2});
  read_logit_bias(fields, into.logit_bias);
  fields.get("seed", into.seed, Range<std::uint64_t>{0, INT64_MAX});
  into.stop = read_stops(fields, "stop", true);
  read_max_tokens(fields, into.max_tokens);
  fields.get("n", into.n, Range<std::uint32_t>{1, kMaxChoices});
  read_stream(fields, into);
  read_tags(fields);
  return into;
}

void to_options(const CommonFields& from, ExecutionOptions& options) {
  options.max_tokens = from.max_tokens.value_or(kDefaultMaxTokens);
  options.temperature = from.temperature.value_or(options.temperature);
  options.top_p = from.top_p.value_or(options.top_p);
  options.top_k = from.top_k.value_or(options.top_k);
  options.min_p = from.min_p.value_or(options.min_p);
  options.repeat_penalty = from.repeat_penalty.value_or(options.repeat_penalty);
  options.frequency_penalty = from.frequency_penalty;
  options.presence_penalty = from.presence_penalty;
  options.logit_bias = from.logit_bias;
  options.seed = from.seed;
  options.stop = from.stop;
}

}  // namespace symbiont::api::openai
