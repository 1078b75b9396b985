#include "api/openai/tools.h"

#include <functional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/strings.h"

namespace symbiont::api::openai {
namespace {

void read_type(Fields& fields) {
  std::string type;
  if (fields.require("type") != nullptr && fields.get("type", type, kMaxToolNameLength) &&
      type != "function") {
    fields.fail("type",
                fmt::format("{} is not supported; only function is", symbiont::quoted(type)),
                "unsupported_value");
  }
}

/// What is in the field "function", read by `read`.
void read_inside(Fields& fields, const std::function<void(Fields& function)>& read) {
  const Json* function = fields.require("function");
  if (function == nullptr) return;
  Fields inner(*function, fields.path_of("function"));
  read(inner);
  if (auto done = inner.finish(); !done.has_value()) fields.fail(std::move(done).error());
}

std::string read_name(Fields& fields) {
  std::string name;
  if (fields.require("name") != nullptr) fields.get("name", name, kMaxToolNameLength);
  return name;
}

/// none, auto, required, or an object with a type, whose name is read by `read`.
void read_choice(Fields& fields,
                 ToolRequest& request,
                 const std::function<std::string(Fields& choice)>& read) {
  bool parallel = true;  // an answer holds one call at most: both values are met
  fields.get("parallel_tool_calls", parallel);
  const Json* choice = fields.find("tool_choice");
  if (choice == nullptr) return;
  if (choice->is_object()) {
    Fields inner(*choice, "tool_choice");
    read_type(inner);
    const std::string name = read(inner);
    if (auto done = inner.finish(); !done.has_value()) return fields.fail(std::move(done).error());
    return demand_call_of(fields, name, request);
  }
  std::string word;
  if (!fields.get("tool_choice", word, kMaxToolNameLength)) return;
  if (word == "none") {
    request.use = ToolUse::None;
  } else if (word == "required") {
    demand_call(fields, request);
  } else if (word != "auto") {
    fields.fail("tool_choice", "expected none, auto, required, or a function");
  }
}

}  // namespace

ToolRequest read_chat_tools(Fields& fields) {
  return read_tool_list(fields, [](Fields& typed) {
    Tool tool;
    read_type(typed);
    read_inside(typed, [&tool](Fields& function) { tool = read_tool(function, "parameters"); });
    return tool;
  });
}

ToolRequest read_tools(Fields& fields) {
  ToolRequest request = read_chat_tools(fields);
  read_choice(fields, request, [](Fields& choice) {
    std::string name;
    read_inside(choice, [&name](Fields& function) { name = read_name(function); });
    return name;
  });
  return request;
}

ToolRequest read_response_tools(Fields& fields) {
  ToolRequest request = read_tool_list(fields, [](Fields& tool) {
    read_type(tool);
    return read_tool(tool, "parameters");
  });
  read_choice(fields, request, read_name);
  return request;
}

}  // namespace symbiont::api::openai
