#include "api/openai/tools.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/strings.h"

namespace symbiont::api::openai {
namespace {

bool is_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

Tool read_function(Fields& fields) {
  Tool tool;
  if (fields.require("name") != nullptr) fields.get("name", tool.name, kMaxToolNameBytes);
  if (fields.ok() && !is_name(tool.name))
    fields.fail("name", "expected letters, digits, '_' and '-'");
  fields.get("description", tool.description, kMaxToolTextBytes);
  bool strict = false;  // a demanded call always follows its schema
  fields.get("strict", strict);
  const Json* parameters = fields.find("parameters");
  tool.parameters = parameters == nullptr ? Json{{"type", "object"}} : *parameters;
  if (!tool.parameters.is_object())
    fields.fail("parameters", "expected a JSON schema of an object", "invalid_type");
  return tool;
}

/// {"type": "function", "function": {...}}: what is inside, read by `read`.
template <typename Read>
void read_typed(const Json& value, std::string path, Fields& outer, const Read& read) {
  Fields fields(value, std::move(path));
  std::string type;
  if (fields.require("type") != nullptr && fields.get("type", type, kMaxToolNameBytes) &&
      type != "function") {
    fields.fail("type",
                fmt::format("{} is not supported; only function is", symbiont::quoted(type)),
                "unsupported_value");
  }
  if (const Json* function = fields.require("function")) {
    Fields inner(*function, fields.path_of("function"));
    read(inner);
    if (auto done = inner.finish(); !done.has_value()) fields.fail(std::move(done).error());
  }
  if (auto done = fields.finish(); !done.has_value()) outer.fail(std::move(done).error());
}

void read_list(Fields& fields, std::vector<Tool>& into) {
  const Json* list = fields.find("tools");
  if (list == nullptr) return;
  if (!list->is_array()) return fields.fail("tools", "expected an array", "invalid_type");
  if (list->size() > kMaxTools)
    return fields.fail("tools", fmt::format("at most {} are accepted", kMaxTools));
  for (std::size_t i = 0; i < list->size() && fields.ok(); ++i) {
    read_typed((*list)[i], fmt::format("tools[{}]", i), fields,
               [&](Fields& function) { into.push_back(read_function(function)); });
  }
}

void keep_only(Fields& fields, std::string_view name, ToolRequest& request) {
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

void read_choice(Fields& fields, ToolRequest& request) {
  const Json* choice = fields.find("tool_choice");
  request.use = request.tools.empty() ? ToolUse::None : ToolUse::Auto;
  if (choice == nullptr) return;
  if (choice->is_object()) {
    std::string name;
    read_typed(*choice, "tool_choice", fields, [&](Fields& function) {
      if (function.require("name") != nullptr) function.get("name", name, kMaxToolNameBytes);
    });
    if (fields.ok()) keep_only(fields, name, request);
    return;
  }
  std::string word;
  if (!fields.get("tool_choice", word, kMaxToolNameBytes)) return;
  if (word == "none") {
    request.use = ToolUse::None;
  } else if (word == "required") {
    request.use = ToolUse::Required;
  } else if (word != "auto") {
    fields.fail("tool_choice", "expected none, auto, required, or a function");
  }
  if (request.use == ToolUse::Required && request.tools.empty())
    fields.fail("tool_choice", "there are no tools to choose from");
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

ToolRequest read_tools(Fields& fields) {
  ToolRequest request;
  read_list(fields, request.tools);
  read_choice(fields, request);
  bool parallel = true;  // an answer holds one call at most: both values are met
  fields.get("parallel_tool_calls", parallel);
  return request;
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
  const auto parsed = parse_object(response);
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
  return ToolCall{called, dump(*arguments)};
}

std::string call_text(std::string_view name, const Json& arguments) {
  return fmt::format(R"({{"name": {}, "arguments": {}}})", dump(Json(name)), dump(arguments));
}

}  // namespace symbiont::api::openai
