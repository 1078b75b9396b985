// Functions that a model may call, in the words of each API: what becomes of a request, how a call
// is said, and what an earlier call looks like to the model.

#include "api/tools.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/anthropic/messages.h"
#include "api/ollama/generate.h"
#include "api/openai/chat.h"
#include "api/openai/responses.h"

namespace symbiont::api {
namespace {

using ::testing::HasSubstr;

const std::string kCall = R"({"name": "get_weather", "arguments": {"city": "Paris"}})";

/// Ollama looks a model up by its name, which takes an engine.
Engine& engine() {
  static Engine made = [] {
    auto catalog = ModelCatalog::create(Slm{});
    EngineOptions options;
    options.runner_factory = [](const RunnerRequest&) { return std::shared_ptr<SlmRunner>(); };
    return Engine(*std::move(catalog), std::move(options));
  }();
  return made;
}

struct Api {
  const char* name;
  Handled (*handler)(Gateway&, const Request&);
  const char* required;  // fields that it cannot do without
  const char* tools;
  const char* demand;  // null: it has none
  const char* history;
};

const Api kApis[] = {
    {"chat", openai::create_chat_completion, R"("model": "m")",
     R"("tools": [{"type": "function", "function": {"name": "get_weather", "description": "Now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}])",
     R"("tool_choice": "required")",
     R"("messages": [{"role": "user", "content": "Weather?"},
         {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function",
           "function": {"name": "get_weather", "arguments": "{\"city\": \"Paris\"}"}}]},
         {"role": "tool", "tool_call_id": "c", "content": "rain"}])"},
    {"responses", openai::create_response, R"("model": "m")",
     R"("tools": [{"type": "function", "name": "get_weather", "description": "Now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}])",
     R"("tool_choice": {"type": "function", "name": "get_weather"})",
     R"("input": [{"role": "user", "content": "Weather?"},
         {"type": "function_call", "call_id": "c", "name": "get_weather",
          "arguments": "{\"city\": \"Paris\"}"},
         {"type": "function_call_output", "call_id": "c", "output": "rain"}])"},
    {"messages", anthropic::create_message, R"("model": "m", "max_tokens": 9)",
     R"("tools": [{"name": "get_weather", "description": "Now.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}])",
     R"("tool_choice": {"type": "any", "disable_parallel_tool_use": true})",
     R"("messages": [{"role": "user", "content": "Weather?"},
         {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "get_weather",
           "input": {"city": "Paris"}}]},
         {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c",
           "content": [{"type": "text", "text": "rain"}]}]}])"},
    {"ollama", ollama::chat, R"("model": "m")",
     R"("tools": [{"type": "function", "function": {"name": "get_weather", "description": "Now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}])",
     nullptr,
     R"("messages": [{"role": "user", "content": "Weather?"},
         {"role": "assistant", "tool_calls": [{"function": {"name": "get_weather",
           "arguments": {"city": "Paris"}}}]},
         {"role": "tool", "tool_name": "get_weather", "content": "rain"}])"},
};

class ToolsOf : public ::testing::TestWithParam<Api> {
 protected:
  static Plan plan_of(const std::string& more) {
    Gateway gateway;
    gateway.engine = &engine();
    Request request;
    request.identity.agent = "ann";
    const Api& api = GetParam();
    request.body =
        "{" + std::string(api.required) + ", " + api.history + ", " + api.tools + more + "}";
    Handled handled = api.handler(gateway, request);
    EXPECT_TRUE(handled.has_value()) << handled.error().message;
    return handled.has_value() ? std::get<Plan>(std::move(*handled)) : Plan{};
  }
  /// What is said of an answer that comes in `pieces`.
  static std::string said(bool stream, const std::vector<std::string>& pieces) {
    Plan plan = plan_of(stream ? R"(, "stream": true)" : R"(, "stream": false)");
    Output out;
    ExecutionResult result;
    result.metadata.finish_reason = "stop";
    result.metadata.execution_id = "exec-1";
    plan.writer->on_start({"exec-1"});
    for (const std::string& piece : pieces) {
      if (stream) plan.writer->on_text(0, piece, out);
      result.response += piece;
    }
    plan.writer->on_end(0, result, out);
    plan.writer->finish(out);
    return out.is_stream() ? out.bytes() : out.response().body;
  }
};
INSTANTIATE_TEST_SUITE_P(Apis, ToolsOf, ::testing::ValuesIn(kApis), [](const auto& api) {
  return std::string(api.param.name);
});

TEST_P(ToolsOf, TheModelIsToldOfThem) {
  const Plan plan = plan_of("");
  const ChatMessage& first = plan.executions.front().messages.front();
  EXPECT_EQ(first.role, "system");
  EXPECT_THAT(first.content, HasSubstr("get_weather"));
  EXPECT_THAT(first.content, HasSubstr("Now."));
  EXPECT_THAT(first.content, HasSubstr("city"));
  EXPECT_EQ(plan.executions.front().options.json_schema, "");
}

TEST_P(ToolsOf, EarlierCallsAndTheirResultsAreAsTheyWereSaid) {
  const std::vector<ChatMessage> messages = plan_of("").executions.front().messages;
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[1], (ChatMessage{"user", "Weather?"}));
  EXPECT_EQ(messages[2].role, "assistant");
  EXPECT_EQ(Json::parse(messages[2].content), Json::parse(kCall));
  EXPECT_EQ(messages[3], (ChatMessage{"tool", "rain"}));
}

TEST_P(ToolsOf, ADemandedCallIsHeldToItsSchema) {
  if (GetParam().demand == nullptr) return;
  const Plan plan = plan_of(std::string(", ") + GetParam().demand);
  const Json schema = Json::parse(plan.executions.front().options.json_schema);
  EXPECT_EQ(schema["properties"]["name"]["const"], "get_weather");
  EXPECT_EQ(plan.fields.schema, "tools");
}

TEST_P(ToolsOf, TextStaysText) {
  for (const bool stream : {false, true}) {
    const std::string text = said(stream, {"It ", "rains."});
    EXPECT_THAT(text, HasSubstr("rains."));
    EXPECT_EQ(text.find("tool_use"), std::string::npos) << text;
    EXPECT_EQ(text.find(R"("tool_calls":[)"), std::string::npos) << text;
  }
}

TEST_P(ToolsOf, WhatBeginsLikeACallAndIsNoneIsSaidInTheEnd) {
  for (const char* other : {R"({"name": "other", "arguments": {}})", R"({"name": "get_)", "{}"}) {
    const std::string text =
        said(true, {std::string(other).substr(0, 1), std::string(other).substr(1)});
    EXPECT_THAT(text, HasSubstr(dump(Json(other)))) << other;
  }
}

/// The data of each event or line of a stream.
std::vector<Json> events_of(const std::string& text) {
  std::vector<Json> events;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = text.find('\n', at);
    std::string line = text.substr(at, end - at);
    if (line.starts_with("data: ")) line.erase(0, 6);
    if (line.starts_with("{")) events.push_back(Json::parse(line));
    at = end + 1;
  }
  return events;
}

const std::vector<std::string> kPieces = {kCall.substr(0, 10), kCall.substr(10)};

class ACall : public ToolsOf {};
INSTANTIATE_TEST_SUITE_P(Chat, ACall, ::testing::Values(kApis[0]));
TEST_P(ACall, IsSaidToChatClients) {
  const Json choice = Json::parse(said(false, kPieces))["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_EQ(choice["message"]["tool_calls"][0]["function"],
            (Json{{"name", "get_weather"}, {"arguments", R"({"city":"Paris"})"}}));
}

class AResponsesCall : public ToolsOf {};
INSTANTIATE_TEST_SUITE_P(Responses, AResponsesCall, ::testing::Values(kApis[1]));
TEST_P(AResponsesCall, IsAnItem) {
  const Json item = {{"type", "function_call"},
                     {"id", "fc_1"},
                     {"call_id", "call_1"},
                     {"name", "get_weather"},
                     {"arguments", R"({"city":"Paris"})"},
                     {"status", "completed"}};
  const Json whole = Json::parse(said(false, kPieces));
  EXPECT_EQ(whole["output"], Json::array({item}));
  EXPECT_EQ(whole["tools"][0]["name"], "get_weather");
  const std::vector<Json> events = events_of(said(true, kPieces));
  std::vector<std::string> types;
  std::int64_t number = 0;
  for (const Json& event : events) {
    types.push_back(event["type"]);
    EXPECT_EQ(event["sequence_number"], number++);
  }
  EXPECT_EQ(types,
            (std::vector<std::string>{
                "response.created", "response.in_progress", "response.output_item.added",
                "response.function_call_arguments.delta", "response.function_call_arguments.done",
                "response.output_item.done", "response.completed"}));
  EXPECT_EQ(events[2]["item"]["arguments"], "");
  EXPECT_EQ(events[4]["arguments"], item["arguments"]);
  EXPECT_EQ(events[5]["item"], item);
  EXPECT_EQ(events[6]["response"]["output"], Json::array({item}));
}

class AnAnthropicCall : public ToolsOf {};
INSTANTIATE_TEST_SUITE_P(Messages, AnAnthropicCall, ::testing::Values(kApis[2]));
TEST_P(AnAnthropicCall, IsABlock) {
  const Json block = {{"type", "tool_use"},
                      {"id", "toolu_1"},
                      {"name", "get_weather"},
                      {"input", {{"city", "Paris"}}}};
  const Json whole = Json::parse(said(false, kPieces));
  EXPECT_EQ(whole["content"], Json::array({block}));
  EXPECT_EQ(whole["stop_reason"], "tool_use");
  const std::vector<Json> events = events_of(said(true, kPieces));
  ASSERT_EQ(events.size(), 6U);
  EXPECT_EQ(events[1]["content_block"]["input"], Json::object());
  EXPECT_EQ(events[2]["delta"],
            (Json{{"type", "input_json_delta"}, {"partial_json", R"({"city":"Paris"})"}}));
  EXPECT_EQ(events[3]["type"], "content_block_stop");
  EXPECT_EQ(events[4]["delta"]["stop_reason"], "tool_use");
}

class AnOllamaCall : public ToolsOf {};
INSTANTIATE_TEST_SUITE_P(Ollama, AnOllamaCall, ::testing::Values(kApis[3]));
TEST_P(AnOllamaCall, IsInTheLastMessage) {
  const Json calls = Json::array(
      {Json{{"function", {{"name", "get_weather"}, {"arguments", {{"city", "Paris"}}}}}}});
  const Json whole = Json::parse(said(false, kPieces));
  EXPECT_EQ(whole["message"]["tool_calls"], calls);
  EXPECT_EQ(whole["message"]["content"], "");
  const std::vector<Json> events = events_of(said(true, kPieces));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0]["message"]["tool_calls"], calls);
  EXPECT_EQ(events[0]["done"], true);
}

TEST(AnthropicToolsTest, AFailedToolSaysSoAndTextAfterItIsTheUsers) {
  Gateway gateway;
  Request request;
  request.body = R"({"model": "m", "max_tokens": 9, "messages": [
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "content": [{"type": "text", "text": "Let me see."},
      {"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "is_error": true,
      "content": "no network"}, {"type": "text", "text": "And now?"}]}]})";
  Handled handled = anthropic::create_message(gateway, request);
  ASSERT_TRUE(handled.has_value()) << handled.error().message;
  const auto& messages = std::get<Plan>(*handled).executions.front().messages;
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[1].content, "Let me see.\n" + call_text("f", Json::object()));
  EXPECT_EQ(messages[2], (ChatMessage{"tool", "error: no network"}));
  EXPECT_EQ(messages[3], (ChatMessage{"user", "And now?"}));
}

TEST(AnthropicToolsTest, CountingCountsThem) {
  Gateway gateway;
  Request request;
  request.body = R"({"model": "m", "messages": [{"role": "user", "content": "Hi"}],
    "tools": [{"name": "get_weather"}]})";
  Handled handled = anthropic::count_tokens(gateway, request);
  ASSERT_TRUE(handled.has_value());
  EXPECT_THAT(std::get<Plan>(*handled).executions.front().messages.front().content,
              HasSubstr("get_weather"));
}

}  // namespace
}  // namespace symbiont::api
