#include "api/anthropic/messages.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/anthropic/message_writer.h"
#include "api/request_fields.h"
#include "api/sse.h"
#include "base/result.h"
#include "base/strings.h"

namespace symbiont::api::anthropic {
namespace {

/// What clients of this API's beta send; what a beta adds to the body is refused by name.
constexpr std::string_view kBetaQuery = "beta=true";

/// Any date is accepted: the versions differ in nothing that is supported here.
std::expected<void, ApiError> check_version(const Request& request) {
  constexpr std::string_view kShape = "0000-00-00";
  const std::string_view version = request.header("anthropic-version");
  const auto fits = [](char c, char shape) {
    return shape == '0' ? c >= '0' && c <= '9' : c == shape;
  };
  if (version.empty() || std::ranges::equal(version, kShape, fits)) return {};
  return std::unexpected(ApiError{.kind = ErrorKind::InvalidRequest,
                                  .message = "anthropic-version: expected a date: YYYY-MM-DD.",
                                  .param = "anthropic-version",
                                  .code = "invalid_value"});
}

TextParts text_blocks() {
  return {.types = {"text"}, .read_more = [](Fields& block) {
            block.unsupported("cache_control");
            block.unsupported_unless("citations", Json::array());
          }};
}

ChatMessage read_message(Fields& fields) {
  ChatMessage message;
  if (fields.require("role") != nullptr) fields.get("role", message.role, kMaxTagBytes);
  if (fields.ok() && message.role != "user" && message.role != "assistant") {
    fields.fail("role",
                fmt::format("{} is none of user, assistant", symbiont::quoted(message.role)));
  }
  message.content = read_text(fields, "content", text_blocks());
  return message;
}

/// Neighbours of one role are one turn, as this API defines.
std::vector<ChatMessage> join_turns(std::vector<ChatMessage> messages) {
  std::vector<ChatMessage> turns;
  for (ChatMessage& message : messages) {
    if (turns.empty() || turns.back().role != message.role) {
      turns.push_back(std::move(message));
    } else {
      turns.back().content.append("\n\n").append(message.content);
    }
  }
  return turns;
}

std::vector<ChatMessage> read_messages(Fields& fields) {
  std::vector<ChatMessage> messages = read_conversation(fields, "messages", read_message);
  if (fields.ok() && messages.back().role != "user") {
    fields.fail("messages",
                "the last one has to be the user's: an answer cannot be begun for the "
                "model");
  }
  messages = join_turns(std::move(messages));
  if (fields.find("system") == nullptr) return messages;
  std::string system = read_text(fields, "system", text_blocks());
  if (!system.empty()) messages.insert(messages.begin(), {"system", std::move(system)});
  return messages;
}

/// What both requests can have and the engine has not: only what asks for nothing is accepted.
void refuse_missing_features(Fields& fields) {
  fields.unsupported_unless("tools", Json::array());
  fields.unsupported_unless("tool_choice", Json{{"type", "none"}});
  fields.unsupported_unless("thinking", Json{{"type", "disabled"}});
  fields.unsupported_unless("mcp_servers", Json::array());
  fields.unsupported("cache_control");
  fields.unsupported("context_management");
  fields.unsupported("output_config");
  fields.unsupported("output_format");
  fields.unsupported_unless("speed", "standard");
}

void read_metadata(Fields& fields) {
  const Json* metadata = fields.find("metadata");
  if (metadata == nullptr) return;
  Fields inner(*metadata, fields.path_of("metadata"));
  std::string user_id;  // the caller's own tag: by its definition without effect on the answer
  inner.get("user_id", user_id, kMaxTagBytes);
  if (auto done = inner.finish(); !done.has_value()) fields.fail(std::move(done).error());
}

void read_options(Fields& fields, ExecutionOptions& options) {
  constexpr Range<std::uint32_t> kTokens{1, kMaxTokensLimit};
  if (fields.require("max_tokens") != nullptr)
    fields.get("max_tokens", options.max_tokens, kTokens);
  fields.get("temperature", options.temperature, Range<float>{0, 1});
  fields.get("top_p", options.top_p, Range<float>{0, 1});
  fields.get("top_k", options.top_k, Range<std::uint32_t>{0, 1'000'000});
  options.stop = read_stops(fields, "stop_sequences", /*or_one=*/false);
}

/// The answer to count_tokens.
class CountWriter final : public AnswerWriter {
 public:
  void on_start(const std::vector<std::string>& /*execution_ids*/) override {}
  void on_text(std::size_t /*choice*/, const TextPiece& /*piece*/, Output& /*out*/) override {}
  void on_end(std::size_t /*choice*/, const ExecutionResult& result, Output& out) override {
    out.respond({.body = dump({{"input_tokens", result.metadata.usage.prompt_tokens}})});
  }
  void finish(Output& /*out*/) override {}
  void on_error(const ApiError& /*error*/, Output& /*out*/) override {}  // there is no stream
};

}  // namespace

Handled create_message(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY_STATUS(refuse_query(request, kBetaQuery));
  SYMBIONT_TRY_STATUS(check_version(request));
  SYMBIONT_TRY(const Json body, parse_object(request.body));
  Fields fields(body);
  const std::string model = read_model(fields);
  EngineRequest execution = start_engine_request(gateway, request, model);
  read_options(fields, execution.options);
  execution.messages = read_messages(fields);
  bool stream = false;
  fields.get("stream", stream);
  read_metadata(fields);
  refuse_missing_features(fields);
  fields.unsupported("container");
  fields.unsupported("inference_geo");
  unsupported_unless_one_of(fields, "service_tier", {"auto", "standard_only"});
  SYMBIONT_TRY_STATUS(fields.finish());

  Plan plan;
  plan.fields.prompt = "messages";
  plan.streams = stream;
  plan.content_type = kEventStream;
  plan.executions.push_back(std::move(execution));
  plan.writer = std::make_unique<MessageWriter>(model, request.id, stream);
  return plan;
}

Handled count_tokens(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY_STATUS(refuse_query(request, kBetaQuery));
  SYMBIONT_TRY_STATUS(check_version(request));
  SYMBIONT_TRY(const Json body, parse_object(request.body));
  Fields fields(body);
  EngineRequest execution = start_engine_request(gateway, request, read_model(fields));
  execution.options.only_count = true;
  execution.messages = read_messages(fields);
  refuse_missing_features(fields);
  SYMBIONT_TRY_STATUS(fields.finish());

  Plan plan;
  plan.executions.push_back(std::move(execution));
  plan.writer = std::make_unique<CountWriter>();
  return plan;
}

}  // namespace symbiont::api::anthropic
