#include "api/openai/responses.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/openai/response_writer.h"
#include "api/openai/tools.h"
#include "api/request_fields.h"
#include "api/sse.h"
#include "base/result.h"
#include "base/strings.h"

namespace symbiont::api::openai {
namespace {

constexpr std::size_t kMaxMetadataPairs = 16;
constexpr std::size_t kMaxSchemaNameBytes = 64;

/// As read, beside what goes into the execution at once.
struct ResponseRequest {
  std::string model;
  std::string instructions;
  std::vector<ChatMessage> input;
  Json text = {{"format", {{"type", "text"}}}};
  Json metadata = Json::object();
  ToolRequest tools;
  bool has_limit = false;
  bool stream = false;
};

/// Marks of items that come back from an earlier response: checked, and without effect.
void read_item_marks(Fields& item) {
  std::string mark;
  item.get("id", mark, kMaxTagLength);
  item.get("status", mark, kMaxTagLength);
  item.get("phase", mark, kMaxTagLength);
}

ChatMessage read_call_item(Fields& item) {
  std::string text;  // there is one call at most to answer, the last one
  if (item.require("call_id") != nullptr) item.get("call_id", text, kMaxCallIdLength);
  std::string name;
  if (item.require("name") != nullptr) item.get("name", name, kMaxToolNameLength);
  if (item.require("arguments") != nullptr) item.get("arguments", text, kMaxMessageBytes);
  const auto arguments = parse_object(text);
  if (item.ok() && !arguments.has_value())
    item.fail("arguments", "expected the text of a JSON object");
  if (!item.ok()) return {};
  return {.role = "assistant", .content = call_text(name, *arguments)};
}

ChatMessage read_output_item(Fields& item) {
  std::string id;
  if (item.require("call_id") != nullptr) item.get("call_id", id, kMaxCallIdLength);
  return {.role = "tool",
          .content = read_text(item, "output", {.types = {"input_text"}, .read_more = nullptr})};
}

ChatMessage read_message_item(Fields& item) {
  ChatMessage message;
  if (item.require("role") != nullptr) item.get("role", message.role, kMaxTagLength);
  if (message.role == "developer") message.role = "system";
  const bool is_known =
      message.role == "system" || message.role == "user" || message.role == "assistant";
  if (item.ok() && !is_known) {
    item.fail("role", fmt::format("{} is none of system, developer, user, assistant",
                                  symbiont::quoted(message.role)));
  }
  const bool is_answer = message.role == "assistant";
  TextParts parts{.types = {is_answer ? "output_text" : "input_text"}, .read_more = nullptr};
  if (is_answer) {
    parts.read_more = [](Fields& part) {
      part.unsupported_unless("annotations", Json::array());
      part.unsupported_unless("logprobs", Json::array());
    };
  }
  message.content = read_text(item, "content", parts);
  return message;
}

void read_item(Fields& item, std::vector<ChatMessage>& into) {
  std::string type = "message";
  item.get("type", type, kMaxTagLength);
  if (type == "message") {
    into.push_back(read_message_item(item));
  } else if (type == "function_call") {
    into.push_back(read_call_item(item));
  } else if (type == "function_call_output") {
    into.push_back(read_output_item(item));
  } else {
    item.fail("type",
              fmt::format("{} is none of message, function_call, function_call_output",
                          symbiont::quoted(type)),
              "unsupported_value");
  }
  read_item_marks(item);
}

std::vector<ChatMessage> read_input(Fields& fields) {
  const Json* value = fields.require("input");
  if (value == nullptr) return {};
  if (!value->is_string()) return read_conversation(fields, "input", read_item);
  std::string text;
  if (fields.get("input", text, kMaxMessageBytes) && text.empty()) {
    fields.fail("input", "expected some text");
  }
  return {{"user", std::move(text)}};
}

std::string read_format(Fields& format) {
  std::string type;
  if (format.require("type") != nullptr) format.get("type", type, kMaxTagLength);
  if (!format.ok() || type == "text") return {};
  if (type == "json_object") return R"({"type":"object"})";
  if (type != "json_schema") {
    format.fail("type", fmt::format("{} is none of text, json_object, json_schema",
                                    symbiont::quoted(type)));
    return {};
  }
  std::string name;
  if (format.require("name") != nullptr) format.get("name", name, kMaxSchemaNameBytes);
  std::string description;
  format.get("description", description, kMaxMessageBytes);
  bool strict = true;  // an answer always follows its schema
  format.get("strict", strict);
  const Json* schema = format.require("schema");
  return schema == nullptr ? std::string() : schema_text(format, "schema", *schema);
}

void read_text_settings(Fields& fields, ResponseRequest& into, ExecutionOptions& options) {
  const Json* text = fields.find("text");
  if (text == nullptr) return;
  Fields settings(*text, "text");
  settings.unsupported_unless("verbosity", "medium");
  if (const Json* value = settings.find("format"); value != nullptr) {
    Fields format(*value, "text.format");
    options.json_schema = read_format(format);
    if (auto done = format.finish(); !done.has_value()) settings.fail(std::move(done).error());
    into.text["format"] = *value;
  }
  if (auto done = settings.finish(); !done.has_value()) fields.fail(std::move(done).error());
}

/// Tags of the caller's own: checked, and by their definition without effect on the answer.
void read_tags(Fields& fields, ResponseRequest& into) {
  std::string tag;
  fields.get("user", tag, kMaxTagLength);
  fields.get("safety_identifier", tag, kMaxTagLength);
  const Json* metadata = fields.find("metadata");
  if (metadata == nullptr) return;
  const bool is_right =
      metadata->is_object() && metadata->size() <= kMaxMetadataPairs &&
      std::ranges::all_of(metadata->items(), [](const auto& pair) {
        return pair.key().size() <= kMaxTagLength && pair.value().is_string() &&
               pair.value().template get_ref<const std::string&>().size() <= kMaxTagLength;
      });
  if (!is_right) {
    return fields.fail("metadata",
                       fmt::format("expected an object of at most {} strings of at most {} bytes",
                                   kMaxMetadataPairs, kMaxTagLength));
  }
  into.metadata = *metadata;
}

void read_stream(Fields& fields, ResponseRequest& into) {
  fields.get("stream", into.stream);
  const Json* options = fields.find("stream_options");
  if (options == nullptr) return;
  if (!into.stream) return fields.fail("stream_options", "only allowed with stream");
  Fields inner(*options, "stream_options");
  inner.unsupported_unless("include_obfuscation", false);
  if (auto done = inner.finish(); !done.has_value()) fields.fail(std::move(done).error());
}

/// What this API has and this server has not: only what asks for nothing is accepted.
void refuse_missing_features(Fields& fields) {
  fields.unsupported_unless("store", false);
  fields.unsupported_unless("background", false);
  fields.unsupported_unless("include", Json::array());
  fields.unsupported_unless("reasoning", Json::object());
  fields.unsupported_unless("top_logprobs", 0);
  fields.unsupported_unless("truncation", "disabled");
  unsupported_unless_one_of(fields, "service_tier", {"auto", "default"});
  for (const char* missing :
       {"previous_response_id", "conversation", "prompt", "max_tool_calls", "context_management",
        "moderation", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"}) {
    fields.unsupported(missing);
  }
}

double rounded(float value) {
  return std::round(static_cast<double>(value) * 1e6) / 1e6;
}

/// As it was sent, or what its absence means.
Json sent(const Json& body, const char* name, const Json& otherwise) {
  const auto found = body.find(name);
  return found == body.end() || found->is_null() ? otherwise : *found;
}

Json echo_of(const ResponseRequest& from, const Json& body, const ExecutionOptions& options) {
  Json echo = {{"model", from.model}};
  echo["instructions"] = from.instructions.empty() ? Json(nullptr) : Json(from.instructions);
  echo["max_output_tokens"] = from.has_limit ? Json(options.max_tokens) : Json(nullptr);
  echo["temperature"] = rounded(options.temperature);
  echo["top_p"] = rounded(options.top_p);
  echo["text"] = from.text;
  echo["metadata"] = from.metadata;
  echo["parallel_tool_calls"] = sent(body, "parallel_tool_calls", true);
  echo["tool_choice"] = sent(body, "tool_choice", "auto");
  echo["tools"] = sent(body, "tools", Json::array());
  echo["previous_response_id"] = nullptr;
  echo["store"] = false;
  echo["truncation"] = "disabled";
  return echo;
}

}  // namespace

Handled create_response(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY_STATUS(refuse_query(request));
  SYMBIONT_TRY(const Json body, parse_object(request.body));
  Fields fields(body);
  ResponseRequest asked;
  asked.model = read_model(fields);
  EngineRequest execution = start_engine_request(gateway, request, asked.model);
  ExecutionOptions& options = execution.options;
  fields.get("instructions", asked.instructions, kMaxMessageBytes);
  asked.input = read_input(fields);
  options.max_tokens = kDefaultMaxTokens;
  asked.has_limit =
      fields.get("max_output_tokens", options.max_tokens, Range<std::uint32_t>{1, kMaxTokensLimit});
  fields.get("temperature", options.temperature, Range<float>{0, 2});
  fields.get("top_p", options.top_p, Range<float>{0, 1});
  read_text_settings(fields, asked, options);
  read_stream(fields, asked);
  read_tags(fields, asked);
  asked.tools = read_response_tools(fields);
  refuse_missing_features(fields);
  const bool is_demanded = asked.tools.use == ToolUse::Required;
  if (is_demanded && !options.json_schema.empty())
    fields.fail("text.format", "cannot be held together with a demanded function call");
  SYMBIONT_TRY_STATUS(fields.finish());

  if (!asked.instructions.empty()) execution.messages.push_back({"system", asked.instructions});
  execution.messages.insert(execution.messages.end(), asked.input.begin(), asked.input.end());
  apply(asked.tools, execution);
  Plan plan;
  plan.fields = {.schema = is_demanded ? "tools" : "text.format", .prompt = "input"};
  plan.streams = asked.stream;
  plan.content_type = kEventStream;
  plan.writer = std::make_unique<ResponseWriter>(echo_of(asked, body, options), asked.stream,
                                                 std::move(asked.tools));
  plan.executions.push_back(std::move(execution));
  return plan;
}

}  // namespace symbiont::api::openai
