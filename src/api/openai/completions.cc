#include "api/openai/completions.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "api/openai/answer_writer.h"
#include "api/openai/logprobs.h"
#include "api/openai/messages.h"
#include "api/openai/options.h"
#include "api/request_fields.h"
#include "api/sse.h"
#include "base/result.h"

namespace symbiont::api::openai {
namespace {

class TextWriter final : public CompletionWriter {
 public:
  using CompletionWriter::CompletionWriter;

 protected:
  [[nodiscard]] Json whole_choice(const ExecutionResult& result) const override {
    return {{"text", result.response}};
  }
  [[nodiscard]] Json text_choice(std::string_view text, bool /*is_first*/) const override {
    return {{"text", text}};
  }
  [[nodiscard]] Json logprobs(std::span<const TokenLogprobs> tokens,
                              std::size_t offset) const override {
    return text_logprobs(tokens, offset);
  }
};

/// A string, or an array of strings: each is answered `n` times.
std::vector<std::string> read_prompts(Fields& fields) {
  std::vector<std::string> prompts;
  const Json* value = fields.require("prompt");
  if (value == nullptr) return prompts;
  const Json list = value->is_array() ? *value : Json::array({*value});
  for (const Json& item : list) {
    if (!item.is_string()) {
      fields.fail("prompt", "expected a string or an array of strings", "invalid_type");
      return prompts;
    }
    prompts.push_back(item.get<std::string>());
    if (prompts.back().empty() || prompts.back().size() > kMaxMessageBytes) {
      fields.fail("prompt", fmt::format("{} bytes; 1 .. {} are accepted", prompts.back().size(),
                                        kMaxMessageBytes));
    }
  }
  if (prompts.empty()) fields.fail("prompt", "expected at least one string");
  return prompts;
}

void refuse_missing_features(Fields& fields, std::uint32_t n) {
  fields.unsupported_unless("echo", false);
  fields.unsupported_unless("best_of", n);
  fields.unsupported_unless("suffix", "");
}

}  // namespace

Handled create_completion(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY(const Json body, parse_object(request.body));
  Fields fields(body);
  const CommonFields common = read_common_fields(fields);
  const std::vector<std::string> prompts = read_prompts(fields);
  const std::size_t choices = prompts.size() * common.n;
  if (choices > kMaxChoices) {
    fields.fail("prompt", fmt::format("{} answers; at most {} are given", choices, kMaxChoices));
  }
  refuse_missing_features(fields, common.n);
  std::optional<std::uint32_t> top_logprobs;
  fields.get("logprobs", top_logprobs, Range<std::uint32_t>{0, kMaxTopLogprobs});
  SYMBIONT_TRY_STATUS(fields.finish());

  Plan plan;
  plan.streams = common.stream;
  plan.content_type = kEventStream;
  for (const std::string& prompt : prompts) {
    EngineRequest execution = start_engine_request(gateway, request, common.model);
    to_options(common, execution.options);
    execution.prompt = prompt;
    execution.options.raw = true;
    execution.options.top_logprobs = top_logprobs;
    plan.executions.insert(plan.executions.end(), common.n, execution);
  }
  plan.writer = std::make_unique<TextWriter>(AnswerFormat{.id_prefix = "cmpl-",
                                                          .object = "text_completion",
                                                          .chunk_object = "text_completion",
                                                          .model = common.model,
                                                          .choices = choices,
                                                          .stream = common.stream,
                                                          .include_usage = common.include_usage});
  return plan;
}

}  // namespace symbiont::api::openai
