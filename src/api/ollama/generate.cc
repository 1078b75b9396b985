#include "api/ollama/generate.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/ollama/answer_writer.h"
#include "api/ollama/options.h"
#include "api/openai/tools.h"
#include "api/request_fields.h"
#include "base/result.h"
#include "base/strings.h"

namespace symbiont::api::ollama {
namespace {

std::string read_call(Fields& call) {
  std::string text;
  call.get("id", text, kMaxCallIdLength);
  const Json* function = call.require("function");
  if (function == nullptr) return {};
  Fields inner(*function, call.path_of("function"));
  std::string name;
  if (inner.require("name") != nullptr) inner.get("name", name, kMaxToolNameLength);
  const Json* arguments = inner.require("arguments");
  if (arguments != nullptr && !arguments->is_object())
    inner.fail("arguments", "expected an object", "invalid_type");
  if (arguments != nullptr) text = call_text(name, *arguments);
  if (auto done = inner.finish(); !done.has_value()) call.fail(std::move(done).error());
  return text;
}

void read_message(Fields& fields, std::vector<ChatMessage>& into) {
  constexpr std::string_view kRoles[] = {"system", "user", "assistant", "tool"};
  ChatMessage message;
  if (fields.require("role") != nullptr) fields.get("role", message.role, kMaxTagLength);
  if (fields.ok() && std::ranges::find(kRoles, message.role) == std::end(kRoles)) {
    fields.fail("role", fmt::format("{} is none of system, user, assistant, tool",
                                    symbiont::quoted(message.role)));
  }
  std::string calls;
  if (message.role == "assistant") {
    calls = read_calls(fields, read_call);
  } else {
    fields.unsupported_unless("tool_calls", Json::array());
  }
  if (calls.empty()) (void)fields.require("content");
  fields.get("content", message.content, kMaxMessageBytes);
  if (!calls.empty()) message.content += (message.content.empty() ? "" : "\n") + calls;
  fields.unsupported_unless("images", Json::array());
  fields.unsupported_unless("thinking", "");
  std::string name;  // there is one call at most to answer, the last one
  if (message.role == "tool") {
    fields.get("tool_name", name, kMaxToolNameLength);
    fields.get("tool_call_id", name, kMaxCallIdLength);
  } else {
    fields.unsupported("tool_name");
  }
  into.push_back(std::move(message));
}

Plan make_plan(EngineRequest execution,
               std::string name,
               TextPlace place,
               bool stream,
               ToolRequest tools = {}) {
  Plan plan;
  plan.fields = {.schema = "format", .prompt = place == TextPlace::Message ? "messages" : ""};
  plan.streams = stream;
  plan.content_type = kLines;
  plan.executions.push_back(std::move(execution));
  plan.writer = std::make_unique<AnswerLines>(std::move(name), place, stream, std::move(tools));
  return plan;
}

void read_prompt(Fields& fields, EngineRequest& execution) {
  if (fields.require("prompt") != nullptr &&
      fields.get("prompt", execution.prompt, kMaxMessageBytes) && execution.prompt.empty()) {
    fields.fail("prompt", "expected some text; models are loaded when they are first asked");
  }
  fields.get("system", execution.options.system_prompt, kMaxMessageBytes);
  fields.get("raw", execution.options.raw);
  if (execution.options.raw && !execution.options.system_prompt.empty()) {
    fields.fail("system", "has no place in a raw prompt");
  }
}

}  // namespace

Handled chat(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY_STATUS(refuse_query(request));
  SYMBIONT_TRY(const Json body, parse_object(request.body));
  Fields fields(body);
  std::string name = read_model(fields);
  EngineRequest execution = start_engine_request(gateway, request, {});
  read_common_fields(fields, execution.options);
  execution.messages = read_conversation(fields, "messages", read_message);
  bool stream = true;
  fields.get("stream", stream);
  ToolRequest tools = openai::read_chat_tools(fields);
  SYMBIONT_TRY_STATUS(fields.finish());
  apply(tools, execution);
  execution.model_id = resolve_model(gateway, request.identity.agent, name);
  return make_plan(std::move(execution), std::move(name), TextPlace::Message, stream,
                   std::move(tools));
}

Handled generate(Gateway& gateway, const Request& request) {
  SYMBIONT_TRY_STATUS(refuse_query(request));
  SYMBIONT_TRY(const Json body, parse_object(request.body));
  Fields fields(body);
  std::string name = read_model(fields);
  EngineRequest execution = start_engine_request(gateway, request, {});
  read_common_fields(fields, execution.options);
  read_prompt(fields, execution);
  bool stream = true;
  fields.get("stream", stream);
  fields.unsupported_unless("suffix", "");
  fields.unsupported_unless("template", "");
  fields.unsupported_unless("context", Json::array());
  fields.unsupported_unless("images", Json::array());
  for (const char* of_pictures : {"width", "height", "steps"})
    fields.unsupported(of_pictures);
  SYMBIONT_TRY_STATUS(fields.finish());
  execution.model_id = resolve_model(gateway, request.identity.agent, name);
  return make_plan(std::move(execution), std::move(name), TextPlace::Response, stream);
}

}  // namespace symbiont::api::ollama
