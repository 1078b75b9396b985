#include "api/openai/messages.h"

#include <string>
#include <utility>

#include <fmt/format.h>

#include "api/openai/tools.h"
#include "api/request_fields.h"
#include "base/strings.h"

namespace symbiont::api::openai {
namespace {

std::string read_call(Fields& call) {
  std::string id;
  std::string type;
  std::string name;
  std::string arguments;
  if (call.require("id") != nullptr) call.get("id", id, kMaxCallIdLength);
  if (call.require("type") != nullptr && call.get("type", type, 64) && type != "function")
    call.fail("type", "expected function", "unsupported_value");
  const Json* function = call.require("function");
  if (function == nullptr) return {};
  Fields inner(*function, call.path_of("function"));
  if (inner.require("name") != nullptr) inner.get("name", name, kMaxToolNameLength);
  if (inner.require("arguments") != nullptr) inner.get("arguments", arguments, kMaxMessageBytes);
  if (auto done = inner.finish(); !done.has_value()) call.fail(std::move(done).error());
  const auto parsed = parse_object(arguments);
  if (call.ok() && !parsed.has_value())
    call.fail("function.arguments", "expected the text of a JSON object");
  return parsed.has_value() ? call_text(name, *parsed) : std::string();
}

void read_message(Fields& fields, std::vector<ChatMessage>& into) {
  ChatMessage message;
  if (fields.require("role") != nullptr) fields.get("role", message.role, 64);
  if (message.role == "developer") message.role = "system";
  const bool is_known = message.role == "system" || message.role == "user" ||
                        message.role == "assistant" || message.role == "tool";
  if (fields.ok() && !is_known) {
    fields.fail("role", fmt::format("{} is none of system, developer, user, assistant, tool",
                                    symbiont::quoted(message.role)));
  }
  fields.unsupported("name");
  std::string call_id;  // there is one call at most to answer, the last one
  if (message.role == "tool") {
    if (fields.require("tool_call_id") != nullptr)
      fields.get("tool_call_id", call_id, kMaxCallIdLength);
  } else {
    fields.unsupported("tool_call_id");
  }
  fields.unsupported("refusal");
  fields.unsupported("audio");
  fields.unsupported("function_call");
  const std::string calls =
      message.role == "assistant" ? read_calls(fields, read_call) : std::string();
  if (message.role != "assistant") fields.unsupported_unless("tool_calls", Json::array());
  if (calls.empty() || fields.find("content") != nullptr)
    message.content = read_text(fields, "content", {.types = {"text"}, .read_more = nullptr});
  if (!calls.empty()) message.content += (message.content.empty() ? "" : "\n") + calls;
  into.push_back(std::move(message));
}

}  // namespace

std::vector<ChatMessage> read_messages(Fields& fields) {
  return read_conversation(fields, "messages", read_message);
}

}  // namespace symbiont::api::openai
