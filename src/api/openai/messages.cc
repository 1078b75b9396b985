#include "api/openai/messages.h"

#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/strings.h"

namespace symbiont::api::openai {
namespace {

/// The texts of content parts, one after the other.
std::string read_parts(Fields& message, const Json& parts) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Fields part(parts[i], message.path_of(fmt::format("content[{}]", i)));
    std::string type;
    if (part.require("type") != nullptr && part.get("type", type, 64) && type != "text") {
      part.fail("type", fmt::format("{} is not supported; only text is", symbiont::quoted(type)),
                "unsupported_value");
    }
    std::string piece;
    if (type == "text" && part.require("text") != nullptr)
      part.get("text", piece, kMaxMessageBytes);
    text += piece;
    if (auto done = part.finish(); !done.has_value()) message.fail(std::move(done).error());
    if (!message.ok()) break;
  }
  if (text.size() > kMaxMessageBytes) {
    message.fail("content", fmt::format("more than {} bytes", kMaxMessageBytes));
  }
  return text;
}

ChatMessage read_message(Fields& fields) {
  ChatMessage message;
  if (fields.require("role") != nullptr) fields.get("role", message.role, 64);
  if (message.role == "developer") message.role = "system";
  const bool is_known =
      message.role == "system" || message.role == "user" || message.role == "assistant";
  if (fields.ok() && message.role == "tool") {
    fields.fail("role", "messages of tools are not supported by this server", "unsupported_value");
  } else if (fields.ok() && !is_known) {
    fields.fail("role", fmt::format("{} is none of system, developer, user, assistant, tool",
                                    symbiont::quoted(message.role)));
  }
  fields.unsupported("name");
  fields.unsupported("tool_call_id");
  fields.unsupported("refusal");
  fields.unsupported("audio");
  fields.unsupported("function_call");
  fields.unsupported_unless("tool_calls", Json::array());
  const Json* content = fields.require("content");
  if (content == nullptr) return message;
  if (content->is_array()) {
    message.content = read_parts(fields, *content);
  } else if (content->is_string()) {
    fields.get("content", message.content, kMaxMessageBytes);
  } else {
    fields.fail("content", "expected a string or an array of parts", "invalid_type");
  }
  return message;
}

}  // namespace

std::vector<ChatMessage> read_messages(Fields& fields) {
  std::vector<ChatMessage> messages;
  const Json* value = fields.require("messages");
  if (value == nullptr) return messages;
  if (!value->is_array() || value->empty()) {
    fields.fail("messages", "expected an array of at least one message", "invalid_type");
    return messages;
  }
  if (value->size() > kMaxMessages) {
    fields.fail("messages", fmt::format("at most {} are accepted", kMaxMessages));
    return messages;
  }
  for (std::size_t i = 0; i < value->size() && fields.ok(); ++i) {
    Fields message((*value)[i], fmt::format("messages[{}]", i));
    messages.push_back(read_message(message));
    if (auto done = message.finish(); !done.has_value()) fields.fail(std::move(done).error());
  }
  return messages;
}

}  // namespace symbiont::api::openai
