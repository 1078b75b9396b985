#include "api/ollama/generate.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "api/ollama/answer_writer.h"
#include "api/ollama/options.h"
#include "api/request_fields.h"
#include "base/result.h"
#include "base/strings.h"

namespace symbiont::api::ollama {
namespace {

ChatMessage read_message(Fields& fields) {
  constexpr std::string_view kRoles[] = {"system", "user", "assistant"};
  ChatMessage message;
  if (fields.require("role") != nullptr) fields.get("role", message.role, kMaxTagBytes);
  if (fields.ok() && message.role == "tool") {
    fields.fail("role", "messages of tools are not supported by this server", "unsupported_value");
  } else if (fields.ok() && std::ranges::find(kRoles, message.role) == std::end(kRoles)) {
    fields.fail("role", fmt::format("{} is none of system, user, assistant, tool",
                                    symbiont::quoted(message.role)));
  }
  if (fields.require("content") != nullptr)
    fields.get("content", message.content, kMaxMessageBytes);
  fields.unsupported_unless("images", Json::array());
  fields.unsupported_unless("tool_calls", Json::array());
  fields.unsupported_unless("thinking", "");
  fields.unsupported("tool_name");
  return message;
}

Plan make_plan(EngineRequest execution, std::string name, TextPlace place, bool stream) {
  Plan plan;
  plan.fields = {.schema = "format", .prompt = place == TextPlace::Message ? "messages" : ""};
  plan.streams = stream;
  plan.content_type = kLines;
  plan.executions.push_back(std::move(execution));
  plan.writer = std::make_unique<AnswerLines>(std::move(name), place, stream);
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
  fields.unsupported_unless("tools", Json::array());
  SYMBIONT_TRY_STATUS(fields.finish());
  execution.model_id = resolve_model(gateway, request.identity.agent, name);
  return make_plan(std::move(execution), std::move(name), TextPlace::Message, stream);
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
