#include "api/openai/chat.h"

#include <memory>
#include <string>
#include <utility>

#include "api/openai/answer_writer.h"
#include "api/openai/messages.h"
#include "api/openai/options.h"
#include "api/sse.h"
#include "base/result.h"

namespace symbiont::api::openai {
namespace {

class ChatWriter final : public CompletionWriter {
 public:
  using CompletionWriter::CompletionWriter;

 protected:
  [[nodiscard]] Json whole_choice(const ExecutionResult& result) const override {
    return {
        {"message", {{"role", "assistant"}, {"content", result.response}, {"refusal", nullptr}}}};
  }
  [[nodiscard]] Json text_choice(std::string_view text, bool is_first) const override {
    Json delta = Json::object();
    if (is_first) delta["role"] = "assistant";
    if (is_first || !text.empty()) delta["content"] = text;
    return {{"delta", std::move(delta)}};
  }
};

/// What this API has and the engine has not: only what asks for nothing is accepted.
void refuse_missing_features(Fields& fields) {
  fields.unsupported_unless("logprobs", false);
  fields.unsupported_unless("top_logprobs", 0);
  fields.unsupported_unless("response_format", Json{{"type", "text"}});
  fields.unsupported_unless("tools", Json::array());
  fields.unsupported_unless("tool_choice", "none");
  fields.unsupported_unless("store", false);
  bool parallel = false;  // about tool calls, of which there are none
  fields.get("parallel_tool_calls", parallel);
}

}  // namespace

Handled create_chat_completion(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY(const Json body, parse_object(request.body));
  Fields fields(body);
  const CommonFields common = read_common_fields(fields);
  std::vector<ChatMessage> messages = read_messages(fields);
  refuse_missing_features(fields);
  SYMBIONT_TRY_STATUS(fields.finish());

  EngineRequest execution = start_engine_request(gateway, request, common.model);
  to_options(common, execution.options);
  execution.messages = std::move(messages);
  Plan plan;
  plan.streams = common.stream;
  plan.content_type = kEventStream;
  plan.executions.assign(common.n, execution);
  plan.writer = std::make_unique<ChatWriter>(AnswerFormat{.id_prefix = "chatcmpl-",
                                                          .object = "chat.completion",
                                                          .chunk_object = "chat.completion.chunk",
                                                          .model = common.model,
                                                          .choices = common.n,
                                                          .stream = common.stream,
                                                          .include_usage = common.include_usage});
  return plan;
}

}  // namespace symbiont::api::openai
