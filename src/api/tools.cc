#include "api/tools.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/strings.h"

namespace symbiont::api {
namespace {

bool is_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

std::string instructions(const ToolRequest& request) {
  std::string text =
      request.use == ToolUse::Required
          ? "Answer with a call of one of these functions"
          : "You may call one of these functions; call one only when it helps to answer";
  text += ". A call is one JSON object and nothing else: " +
          call_text("NAME", Json{{"ARGUMENT", "VALUE"}}) + "\nFunctions:\n";
  for (const Tool& tool : request.tools) {
    const Json shown = {
        {"name", tool.name}, {"description", tool.description}, {"parameters", tool.parameters}};
    text += dump(shown) + "\n";
  }
  return text;
}

Json call_schema(const ToolRequest& request) {
  Json calls = Json::array();
  for (const Tool& tool : request.tools) {
    calls.push_back(
        {{"type", "object"},
         {"properties", {{"name", {{"const", tool.name}}}, {"arguments", tool.parameters}}},
         {"required", {"name", "arguments"}},
         {"additionalProperties", false}});
  }
  return calls.size() == 1 ? calls.front() : Json{{"anyOf", std::move(calls)}};
}

}  // namespace

Tool read_tool(Fields& fields, std::string_view schema_name) {
  Tool tool;
  if (fields.require("name") != nullptr) fields.get("name", tool.name, kMaxToolNameLength);
  if (fields.ok() && !is_name(tool.name))
    fields.fail("name", "expected letters, digits, '_' and '-'");
  fields.get("description", tool.description, kMaxToolTextLength);
  bool strict = false;  // a demanded call always follows its schema
  fields.get("strict", strict);
  const Json* parameters = fields.find(schema_name);
  tool.parameters = parameters == nullptr ? Json{{"type", "object"}} : *parameters;
  if (!tool.parameters.is_object())
    fields.fail(schema_name, "expected a JSON schema of an object", "invalid_type");
  return tool;
}

ToolRequest read_tool_list(Fields& fields, const std::function<Tool(Fields& tool)>& read) {
  ToolRequest request;
  const Json* list = fields.find("tools");
  if (list == nullptr) return request;
  if (!list->is_array()) {
    fields.fail("tools", "expected an array", "invalid_type");
    return request;
  }
  if (list->size() > kMaxTools) {
    fields.fail("tools", fmt::format("at most {} are accepted", kMaxTools));
    return request;
  }
  for (std::size_t i = 0; i < list->size() && fields.ok(); ++i) {
    Fields tool((*list)[i], fmt::format("tools[{}]", i));
    request.tools.push_back(read(tool));
    if (auto done = tool.finish(); !done.has_value()) fields.fail(std::move(done).error());
  }
  if (!request.tools.empty()) request.use = ToolUse::Auto;
  return request;
}

void demand_call(Fields& fields, ToolRequest& request) {
  request.use = ToolUse::Required;
  if (request.tools.empty()) fields.fail("tool_choice", "there are no tools to choose from");
}

void demand_call_of(Fields& fields, std::string_view name, ToolRequest& request) {
  const auto named = std::ranges::find(request.tools, name, &Tool::name);
  if (named == request.tools.end()) {
    return fields.fail("tool_choice",
                       fmt::format("{} is none of the tools", symbiont::quoted(name)));
  }
  Tool only = *named;
  request.tools.clear();
  request.tools.push_back(std::move(only));
  request.use = ToolUse::Required;
}

void apply(const ToolRequest& request, EngineRequest& execution) {
  if (request.use == ToolUse::None) return;
  std::vector<ChatMessage>& messages = execution.messages;
  std::string text = instructions(request);
  if (!messages.empty() && messages.front().role == "system") {
    messages.front().content += "\n\n" + text;
  } else {
    messages.insert(messages.begin(), {.role = "system", .content = std::move(text)});
  }
  if (request.use == ToolUse::Required) execution.options.json_schema = dump(call_schema(request));
}

std::optional<ToolCall> find_call(const ToolRequest& request, std::string_view response) {
  if (request.use == ToolUse::None) return std::nullopt;
  auto parsed = parse_object(response);
  if (!parsed.has_value()) return std::nullopt;
  const auto name = parsed->find("name");
  const auto arguments = parsed->find("arguments");
  if (name == parsed->end() || !name->is_string() || arguments == parsed->end() ||
      !arguments->is_object()) {
    return std::nullopt;
  }
  const auto& called = name->get_ref<const std::string&>();
  if (std::ranges::find(request.tools, called, &Tool::name) == request.tools.end())
    return std::nullopt;
  return ToolCall{called, std::move(*arguments)};
}

bool may_be_call(const ToolRequest& request, std::string_view text) {
  if (request.use != ToolUse::Auto) return request.use == ToolUse::Required;
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first == std::string_view::npos || text[first] == '{';
}

std::string read_calls(Fields& message, const std::function<std::string(Fields& call)>& read) {
  std::string text;
  const Json* calls = message.find("tool_calls");
  if (calls == nullptr) return text;
  if (!calls->is_array() || calls->size() > kMaxTools) {
    message.fail("tool_calls", fmt::format("expected an array of at most {}", kMaxTools));
    return text;
  }
  for (std::size_t i = 0; i < calls->size() && message.ok(); ++i) {
    Fields call((*calls)[i], message.path_of(fmt::format("tool_calls[{}]", i)));
    text += (text.empty() ? "" : "\n") + read(call);
    if (auto done = call.finish(); !done.has_value()) message.fail(std::move(done).error());
  }
  return text;
}

std::string call_text(std::string_view name, const Json& arguments) {
  return fmt::format(R"({{"name": {}, "arguments": {}}})", dump(Json(name)), dump(arguments));
}

}  // namespace symbiont::api
