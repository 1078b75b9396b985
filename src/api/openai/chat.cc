#include "api/openai/chat.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "api/openai/answer_writer.h"
#include "api/openai/logprobs.h"
#include "api/openai/messages.h"
#include "api/openai/options.h"
#include "api/openai/tools.h"
#include "api/request_fields.h"
#include "api/sse.h"
#include "base/result.h"

namespace symbiont::api::openai {
namespace {

class ChatWriter final : public CompletionWriter {
 public:
  ChatWriter(const AnswerFormat& format, ToolRequest tools)
      : CompletionWriter(format), tools_(std::move(tools)), held_(format.choices) {}

  /// Text that may turn out to be a call is held back until the end.
  void on_text(std::size_t choice, const TextPiece& piece, Output& out) override {
    Held& held = held_[choice];
    held.text += piece.text;
    held.logprobs.insert(held.logprobs.end(), piece.logprobs.begin(), piece.logprobs.end());
    if (may_be_call(tools_, held.text)) return;
    CompletionWriter::on_text(choice, {held.text, held.logprobs}, out);
    held = {};
  }

 protected:
  [[nodiscard]] Json whole_choice(const ExecutionResult& result) const override {
    Json message = {{"role", "assistant"}, {"content", result.response}, {"refusal", nullptr}};
    if (const auto call = find_call(tools_, result.response)) {
      message["content"] = nullptr;
      message["tool_calls"] = Json::array({describe(*call, result)});
    }
    return {{"message", std::move(message)}};
  }
  [[nodiscard]] Json text_choice(std::string_view text, bool is_first) const override {
    Json delta = Json::object();
    if (is_first) delta["role"] = "assistant";
    if (is_first || !text.empty()) delta["content"] = text;
    return {{"delta", std::move(delta)}};
  }
  [[nodiscard]] Json last_choice(const ExecutionResult& result, bool is_first) const override {
    if (!is_first) return text_choice("", false);
    const auto call = find_call(tools_, result.response);
    if (!call) return text_choice(result.response, true);
    Json described = describe(*call, result);
    Json delta = {{"role", "assistant"}, {"content", nullptr}};
    described["index"] = 0;
    delta["tool_calls"] = Json::array({std::move(described)});
    return {{"delta", std::move(delta)}};
  }
  [[nodiscard]] Json logprobs(std::span<const TokenLogprobs> tokens,
                              std::size_t /*offset*/) const override {
    return chat_logprobs(tokens);
  }
  [[nodiscard]] const char* finish_reason(const ExecutionResult& result) const override {
    if (find_call(tools_, result.response)) return "tool_calls";
    return CompletionWriter::finish_reason(result);
  }

 private:
  struct Held {
    std::string text;
    std::vector<TokenLogprobs> logprobs;
  };
  static Json describe(const ToolCall& call, const ExecutionResult& result) {
    return {{"id", "call_" + result.metadata.execution_id},
            {"type", "function"},
            {"function", {{"name", call.name}, {"arguments", dump(call.arguments)}}}};
  }

  ToolRequest tools_;
  std::vector<Held> held_;  // by choice
};

void read_response_format(Fields& fields, std::string& json_schema) {
  const Json* format = fields.find("response_format");
  if (format == nullptr) return;
  Fields inner(*format, "response_format");
  std::string type;
  if (inner.require("type") != nullptr) inner.get("type", type, 64);
  if (type == "json_object") {
    json_schema = R"({"type": "object"})";
  } else if (type == "json_schema") {
    if (const Json* named = inner.require("json_schema")) {
      Fields schema(*named, "response_format.json_schema");
      std::string text;
      if (schema.require("name") != nullptr) schema.get("name", text, kMaxToolNameLength);
      schema.get("description", text, kMaxToolTextLength);
      bool strict = true;  // the schema always holds
      schema.get("strict", strict);
      if (const Json* value = schema.require("schema"))
        json_schema = schema_text(schema, "schema", *value);
      if (auto done = schema.finish(); !done.has_value()) inner.fail(std::move(done).error());
    }
  } else if (inner.ok() && type != "text") {
    inner.fail("type", "expected text, json_object or json_schema");
  }
  if (auto done = inner.finish(); !done.has_value()) fields.fail(std::move(done).error());
}

std::optional<std::uint32_t> read_logprobs(Fields& fields) {
  bool wanted = false;
  fields.get("logprobs", wanted);
  std::optional<std::uint32_t> top;
  fields.get("top_logprobs", top, Range<std::uint32_t>{0, kMaxTopLogprobs});
  if (top.value_or(0) > 0 && !wanted) fields.fail("top_logprobs", "needs logprobs");
  return wanted ? std::optional(top.value_or(0)) : std::nullopt;
}

}  // namespace

Handled create_chat_completion(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY(const Json body, parse_object(request.body));
  Fields fields(body);
  const CommonFields common = read_common_fields(fields);
  std::vector<ChatMessage> messages = read_messages(fields);
  ToolRequest tools = read_tools(fields);
  std::string json_schema;
  read_response_format(fields, json_schema);
  const auto top_logprobs = read_logprobs(fields);
  fields.unsupported_unless("store", false);
  if (!json_schema.empty() && tools.use == ToolUse::Required)
    fields.fail("response_format", "cannot be held together with a demanded tool call");
  SYMBIONT_TRY_STATUS(fields.finish());

  EngineRequest execution = start_engine_request(gateway, request, common.model);
  to_options(common, execution.options);
  execution.messages = std::move(messages);
  execution.options.json_schema = std::move(json_schema);
  execution.options.top_logprobs = top_logprobs;
  apply(tools, execution);
  Plan plan;
  plan.fields = {.schema = tools.use == ToolUse::Required ? "tools" : "response_format",
                 .prompt = "messages"};
  plan.streams = common.stream;
  plan.content_type = kEventStream;
  plan.executions.assign(common.n, execution);
  plan.writer = std::make_unique<ChatWriter>(AnswerFormat{.id_prefix = "chatcmpl-",
                                                          .object = "chat.completion",
                                                          .chunk_object = "chat.completion.chunk",
                                                          .model = common.model,
                                                          .choices = common.n,
                                                          .stream = common.stream,
                                                          .include_usage = common.include_usage},
                                             std::move(tools));
  return plan;
}

}  // namespace symbiont::api::openai
