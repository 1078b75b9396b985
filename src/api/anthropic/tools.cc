#include "api/anthropic/tools.h"

#include <utility>

#include <fmt/format.h>

#include "api/anthropic/messages.h"
#include "api/request_fields.h"
#include "base/strings.h"

namespace symbiont::api::anthropic {
namespace {

Tool read_custom_tool(Fields& fields) {
  std::string type = "custom";
  if (fields.get("type", type, kMaxTagLength) && type != "custom") {
    fields.fail("type", fmt::format("{} is not supported; only custom is", symbiont::quoted(type)),
                "unsupported_value");
  }
  read_cache_control(fields);
  return read_tool(fields, "input_schema");
}

void read_choice(Fields& fields, const Json& value, ToolRequest& request) {
  Fields choice(value, "tool_choice");
  std::string type;
  if (choice.require("type") != nullptr) choice.get("type", type, kMaxTagLength);
  std::string name;
  if (type == "tool" && choice.require("name") != nullptr)
    choice.get("name", name, kMaxToolNameLength);
  bool alone = false;  // an answer holds one call at most: both values are met
  choice.get("disable_parallel_tool_use", alone);
  if (choice.ok() && type != "auto" && type != "any" && type != "tool" && type != "none") {
    choice.fail("type", fmt::format("{} is none of auto, any, tool, none", symbiont::quoted(type)));
  }
  if (auto done = choice.finish(); !done.has_value()) return fields.fail(std::move(done).error());
  if (type == "any") return demand_call(fields, request);
  if (type == "tool") return demand_call_of(fields, name, request);
  if (type == "none") request.use = ToolUse::None;
}

}  // namespace

ToolRequest read_tools(Fields& fields) {
  ToolRequest request = read_tool_list(fields, read_custom_tool);
  if (const Json* choice = fields.find("tool_choice"); choice != nullptr && fields.ok())
    read_choice(fields, *choice, request);
  return request;
}

std::string read_tool_use(Fields& block) {
  std::string id;  // there is one call at most to answer, the last one
  if (block.require("id") != nullptr) block.get("id", id, kMaxCallIdLength);
  std::string name;
  if (block.require("name") != nullptr) block.get("name", name, kMaxToolNameLength);
  const Json* input = block.require("input");
  if (input == nullptr) return {};
  if (!input->is_object()) block.fail("input", "expected an object", "invalid_type");
  return call_text(name, *input);
}

ChatMessage read_tool_result(Fields& block) {
  std::string id;
  if (block.require("tool_use_id") != nullptr) block.get("tool_use_id", id, kMaxCallIdLength);
  bool is_error = false;
  block.get("is_error", is_error);
  std::string text = is_error ? "error: " : "";
  if (block.find("content") != nullptr) text += read_text(block, "content", text_blocks());
  return {.role = "tool", .content = std::move(text)};
}

}  // namespace symbiont::api::anthropic
