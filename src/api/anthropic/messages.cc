#include "api/anthropic/messages.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/anthropic/message_writer.h"
#include "api/anthropic/tools.h"
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

/// Adds to the turn that `into` ends with; only a tool's result is a message of its own.
void read_block(Fields& block, const std::string& role, std::vector<ChatMessage>& into) {
  std::string type;
  if (block.require("type") != nullptr) block.get("type", type, kMaxTagLength);
  const bool is_call = type == "tool_use" && role == "assistant";
  const bool is_result = type == "tool_result" && role == "user";
  if (block.ok() && type != "text" && !is_call && !is_result) {
    return block.fail("type", fmt::format("{} is not supported here", symbiont::quoted(type)),
                      "unsupported_value");
  }
  if (is_result) {
    read_cache_control(block);
    return into.push_back(read_tool_result(block));
  }
  if (into.empty() || into.back().role != role) into.push_back({.role = role, .content = {}});
  std::string& content = into.back().content;
  if (is_call) {
    read_cache_control(block);
    content.append(content.empty() ? "" : "\n").append(read_tool_use(block));
    return;
  }
  text_blocks().read_more(block);
  std::string text;
  if (block.require("text") != nullptr) block.get("text", text, kMaxMessageBytes);
  content += text;
}

void read_message(Fields& fields, std::vector<ChatMessage>& into) {
  std::string role;
  if (fields.require("role") != nullptr) fields.get("role", role, kMaxTagLength);
  if (fields.ok() && role != "user" && role != "assistant")
    fields.fail("role", fmt::format("{} is none of user, assistant", symbiont::quoted(role)));
  const Json* content = fields.require("content");
  if (content == nullptr) return;
  if (!content->is_array()) {
    into.push_back({.role = role, .content = read_text(fields, "content", text_blocks())});
    return;
  }
  std::vector<ChatMessage> turn;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < content->size() && fields.ok(); ++i) {
    Fields block((*content)[i], fields.path_of(fmt::format("content[{}]", i)));
    read_block(block, role, turn);
    if (auto done = block.finish(); !done.has_value()) fields.fail(std::move(done).error());
  }
  for (const ChatMessage& message : turn)
    bytes += message.content.size();
  if (bytes > kMaxMessageBytes)
    fields.fail("content", fmt::format("more than {} bytes", kMaxMessageBytes));
  if (turn.empty()) turn.push_back({.role = role, .content = {}});
  std::ranges::move(turn, std::back_inserter(into));
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
  if (fields.ok() && messages.back().role == "assistant") {
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
  fields.unsupported_unless("thinking", Json{{"type", "disabled"}});
  fields.unsupported_unless("mcp_servers", Json::array());
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
  inner.get("user_id", user_id, kMaxTagLength);
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

/// Reads the conversation and the tools, which are a part of it.
ToolRequest read_prompt(Fields& fields, EngineRequest& execution) {
  execution.messages = read_messages(fields);
  ToolRequest tools = read_tools(fields);
  read_cache_control(fields);
  refuse_missing_features(fields);
  if (fields.ok()) apply(tools, execution);
  return tools;
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

void read_cache_control(Fields& fields) {
  const Json* control = fields.find("cache_control");
  if (control == nullptr) return;
  Fields inner(*control, fields.path_of("cache_control"));
  std::string type;
  if (inner.require("type") != nullptr) inner.get("type", type, kMaxTagLength);
  if (inner.ok() && type != "ephemeral")
    inner.fail("type", fmt::format("{} is not ephemeral", symbiont::quoted(type)));
  std::string lifetime = "5m";
  if (inner.get("ttl", lifetime, kMaxTagLength) && lifetime != "5m" && lifetime != "1h")
    inner.fail("ttl", fmt::format("{} is none of 5m, 1h", symbiont::quoted(lifetime)));
  if (auto done = inner.finish(); !done.has_value()) fields.fail(std::move(done).error());
}

TextParts text_blocks() {
  return {.types = {"text"}, .read_more = [](Fields& block) {
            read_cache_control(block);
            block.unsupported_unless("citations", Json::array());
          }};
}

Handled create_message(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY_STATUS(refuse_query(request, kBetaQuery));
  SYMBIONT_TRY_STATUS(check_version(request));
  SYMBIONT_TRY(const Json body, parse_object(request.body));
  Fields fields(body);
  const std::string model = read_model(fields);
  EngineRequest execution = start_engine_request(gateway, request, model);
  read_options(fields, execution.options);
  ToolRequest tools = read_prompt(fields, execution);
  bool stream = false;
  fields.get("stream", stream);
  read_metadata(fields);
  fields.unsupported("container");
  fields.unsupported("inference_geo");
  unsupported_unless_one_of(fields, "service_tier", {"auto", "standard_only"});
  SYMBIONT_TRY_STATUS(fields.finish());

  Plan plan;
  plan.fields = {.schema = "tools", .prompt = "messages"};
  plan.streams = stream;
  plan.content_type = kEventStream;
  plan.executions.push_back(std::move(execution));
  plan.writer = std::make_unique<MessageWriter>(model, request.id, stream, std::move(tools));
  return plan;
}

Handled count_tokens(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY_STATUS(refuse_query(request, kBetaQuery));
  SYMBIONT_TRY_STATUS(check_version(request));
  SYMBIONT_TRY(const Json body, parse_object(request.body));
  Fields fields(body);
  EngineRequest execution = start_engine_request(gateway, request, read_model(fields));
  execution.options.only_count = true;
  (void)read_prompt(fields, execution);
  SYMBIONT_TRY_STATUS(fields.finish());

  Plan plan;
  plan.executions.push_back(std::move(execution));
  plan.writer = std::make_unique<CountWriter>();
  return plan;
}

}  // namespace symbiont::api::anthropic
