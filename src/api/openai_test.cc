// What OpenAI's requests become, and what is refused by name.

#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "api/openai/chat.h"
#include "api/openai/completions.h"
#include "api/openai/errors.h"

namespace symbiont::api::openai {
namespace {

using Handler = Handled (*)(Gateway&, const Request&);

Handled call(Handler handler, const std::string& body) {
  Gateway gateway;
  Request request;
  request.identity.agent = "ann";
  request.body = body;
  return handler(gateway, request);
}

std::string chat_body(const std::string& more) {
  return R"({"model": "m", "messages": [{"role": "user", "content": "Hi"}])" +
         (more.empty() ? "" : ", " + more) + "}";
}

Plan plan_of(Handler handler, const std::string& body) {
  Handled handled = call(handler, body);
  EXPECT_TRUE(handled.has_value()) << body << ": " << handled.error().message;
  if (!handled.has_value()) return {};
  return std::get<Plan>(std::move(*handled));
}

TEST(ChatRequestTest, BecomesAnExecution) {
  const Plan plan = plan_of(create_chat_completion, R"({
    "model": "m", "temperature": 0.5, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "seed": 3,
    "repeat_penalty": 1.1, "stop": ["a", "b"], "max_completion_tokens": 7, "n": 2, "stream": true,
    "stream_options": {"include_usage": true}, "user": "u", "metadata": {"a": "b"}, "store": false,
    "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "logprobs": false,
    "tools": [], "tool_choice": "none", "parallel_tool_calls": true,
    "response_format": {"type": "text"},
    "messages": [{"role": "developer", "content": "Be brief."},
                 {"role": "user", "content": [{"type": "text", "text": "a"},
                                              {"type": "text", "text": "b"}]},
                 {"role": "assistant", "content": "c", "refusal": null, "tool_calls": []}]})");
  ASSERT_EQ(plan.executions.size(), 2U);
  EXPECT_TRUE(plan.streams);
  const EngineRequest& execution = plan.executions[1];
  EXPECT_EQ(execution.agent, "ann");
  EXPECT_EQ(execution.model_id, "m");
  EXPECT_EQ(execution.messages, (std::vector<ChatMessage>{
                                    {"system", "Be brief."}, {"user", "ab"}, {"assistant", "c"}}));
  EXPECT_EQ(execution.options.temperature, 0.5F);
  EXPECT_EQ(execution.options.top_p, 0.9F);
  EXPECT_EQ(execution.options.top_k, 5U);
  EXPECT_EQ(execution.options.min_p, 0.1F);
  EXPECT_EQ(execution.options.repeat_penalty, 1.1F);
  EXPECT_EQ(execution.options.seed, 3U);
  EXPECT_EQ(execution.options.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(execution.options.max_tokens, 7U);
  EXPECT_EQ(execution.options.timeout, std::chrono::minutes(5));
}

TEST(ChatRequestTest, EveryMistakeIsNamed) {
  struct Case {
    const char* more;
    const char* param;
  };
  for (const Case& bad : {
           Case{R"("temperature": 2.1)", "temperature"},
           Case{R"("temperature": "1")", "temperature"},
           Case{R"("top_p": -0.1)", "top_p"},
           Case{R"("n": 0)", "n"},
           Case{R"("n": 9)", "n"},
           Case{R"("max_tokens": 0)", "max_tokens"},
           Case{R"("max_tokens": 1, "max_completion_tokens": 2)", "max_tokens"},
           Case{R"("seed": -1)", "seed"},
           Case{R"("stop": "")", "stop"},
           Case{R"("stop": [1])", "stop"},
           Case{R"("stream": "yes")", "stream"},
           Case{R"("stream_options": {})", "stream_options"},
           Case{R"("stream": true, "stream_options": {"x": 1})", "stream_options.x"},
           Case{R"("frequency_penalty": 2.5)", "frequency_penalty"},
           Case{R"("logit_bias": {"five": 1})", "logit_bias"},
           Case{R"("logit_bias": {"5": 101})", "logit_bias"},
           Case{R"("top_logprobs": 2)", "top_logprobs"},
           Case{R"("logprobs": true, "top_logprobs": 21)", "top_logprobs"},
           Case{R"("response_format": {"type": "xml"})", "response_format.type"},
           Case{R"("response_format": {"type": "json_schema"})", "response_format.json_schema"},
           Case{R"("tools": [{"type": "function"}])", "tools[0].function"},
           Case{R"("tools": [{"type": "function", "function": {"name": "a b"}}])",
                "tools[0].function.name"},
           Case{R"("tools": [{"type": "retrieval", "function": {"name": "a"}}])", "tools[0].type"},
           Case{R"("tool_choice": "required")", "tool_choice"},
           Case{R"("tool_choice": {"type": "function", "function": {"name": "x"}})", "tool_choice"},
           Case{R"("store": true)", "store"},
           Case{R"("metadata": {"a": 1})", "metadata"},
           Case{R"("temprature": 1)", "temprature"},
           Case{R"("n_discard": -1)", "n_discard"},
       }) {
    const Handled handled = call(create_chat_completion, chat_body(bad.more));
    ASSERT_FALSE(handled.has_value()) << bad.more;
    EXPECT_EQ(handled.error().kind, ErrorKind::InvalidRequest) << bad.more;
    EXPECT_EQ(handled.error().param, bad.param) << bad.more;
  }
}

TEST(ChatRequestTest, EveryMistakeInMessagesIsNamed) {
  struct Case {
    const char* messages;
    const char* param;
  };
  for (const Case& bad : {
           Case{"[]", "messages"},
           Case{"\"hi\"", "messages"},
           Case{"[1]", "messages[0]"},
           Case{R"([{"content": "x"}])", "messages[0].role"},
           Case{R"([{"role": "user"}])", "messages[0].content"},
           Case{R"([{"role": "boss", "content": "x"}])", "messages[0].role"},
           Case{R"([{"role": "tool", "content": "x"}])", "messages[0].tool_call_id"},
           Case{R"([{"role": "user", "content": "x", "tool_call_id": "1"}])",
                "messages[0].tool_call_id"},
           Case{R"([{"role": "assistant", "content": null, "tool_calls": [{"id": "1",
                 "type": "function", "function": {"name": "f", "arguments": "no"}}]}])",
                "messages[0].tool_calls[0].function.arguments"},
           Case{R"([{"role": "user", "content": 1}])", "messages[0].content"},
           Case{R"([{"role": "user", "content": "x", "cntent": "y"}])", "messages[0].cntent"},
           Case{R"([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])",
                "messages[0].content[0].type"},
           Case{R"([{"role": "user", "content": [{"type": "text"}]}])",
                "messages[0].content[0].text"},
       }) {
    const Handled handled = call(
        create_chat_completion, R"({"model": "m", "messages": )" + std::string(bad.messages) + "}");
    ASSERT_FALSE(handled.has_value()) << bad.messages;
    EXPECT_EQ(handled.error().param, bad.param) << bad.messages;
  }
}

TEST(ChatAnswerTest, AWholeAnswer) {
  Plan plan = plan_of(create_chat_completion, chat_body(R"("n": 2)"));
  Output out;
  plan.writer->on_start({"exec-1", "exec-2"});
  ExecutionResult result{.response = "one", .logprobs = {}, .metadata = {}};
  result.metadata.finish_reason = "length";
  result.metadata.usage = {.prompt_tokens = 10, .completion_tokens = 3, .cached_tokens = 8};
  plan.writer->on_end(1, result, out);
  result.response = "two";
  result.metadata.finish_reason = "stop";
  plan.writer->on_end(0, result, out);
  plan.writer->finish(out);
  ASSERT_FALSE(out.is_stream());
  const Json json = Json::parse(out.response().body);
  EXPECT_EQ(json["id"], "chatcmpl-1");
  EXPECT_EQ(json["object"], "chat.completion");
  EXPECT_EQ(json["model"], "m");
  ASSERT_EQ(json["choices"].size(), 2U);
  EXPECT_EQ(json["choices"][0]["index"], 0);
  EXPECT_EQ(json["choices"][0]["message"]["role"], "assistant");
  EXPECT_EQ(json["choices"][0]["message"]["content"], "two");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(json["choices"][1]["finish_reason"], "length");
  EXPECT_EQ(json["usage"]["prompt_tokens"], 10);
  EXPECT_EQ(json["usage"]["completion_tokens"], 6);
  EXPECT_EQ(json["usage"]["total_tokens"], 16);
  EXPECT_EQ(json["usage"]["prompt_tokens_details"]["cached_tokens"], 8);
}

TEST(ChatAnswerTest, AStream) {
  Plan plan = plan_of(create_chat_completion,
                      chat_body(R"("stream": true, "stream_options": {"include_usage": true})"));
  Output out;
  plan.writer->on_start({"exec-1"});
  plan.writer->on_text(0, "Hel", out);
  plan.writer->on_text(0, "lo", out);
  ExecutionResult result{.response = "Hello", .logprobs = {}, .metadata = {}};
  result.metadata.finish_reason = "stop";
  result.metadata.usage = {.prompt_tokens = 4, .completion_tokens = 2, .cached_tokens = 0};
  plan.writer->on_end(0, result, out);
  plan.writer->finish(out);
  ASSERT_TRUE(out.is_stream());
  std::vector<std::string> events;
  std::string text = out.bytes();
  for (std::size_t end = text.find("\n\n"); end != std::string::npos; end = text.find("\n\n")) {
    ASSERT_TRUE(text.starts_with("data: "));
    events.push_back(text.substr(6, end - 6));
    text.erase(0, end + 2);
  }
  ASSERT_EQ(events.size(), 5U);
  const Json first = Json::parse(events[0]);
  EXPECT_EQ(first["object"], "chat.completion.chunk");
  EXPECT_EQ(first["choices"][0]["delta"], (Json{{"role", "assistant"}, {"content", "Hel"}}));
  EXPECT_EQ(first["choices"][0]["finish_reason"], nullptr);
  EXPECT_EQ(first["usage"], nullptr);
  EXPECT_EQ(Json::parse(events[1])["choices"][0]["delta"], (Json{{"content", "lo"}}));
  EXPECT_EQ(Json::parse(events[2])["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(Json::parse(events[2])["choices"][0]["delta"], Json::object());
  EXPECT_TRUE(Json::parse(events[3])["choices"].empty());
  EXPECT_EQ(Json::parse(events[3])["usage"]["total_tokens"], 6);
  EXPECT_EQ(events[4], "[DONE]");
}

constexpr const char* kWeather =
    R"("tools": [{"type": "function", "function": {"name": "weather", "description": "d",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}},
       {"type": "function", "function": {"name": "time"}}])";
constexpr const char* kCall = R"({"name": "weather", "arguments": {"city": "Rome"}})";

/// What a plan's writer makes of one answer that came in `pieces`.
std::string written(Plan& plan, const std::vector<std::string>& pieces) {
  Output out;
  plan.writer->on_start({"exec-1"});
  ExecutionResult result;
  result.metadata.execution_id = "exec-1";
  result.metadata.finish_reason = "stop";
  for (const std::string& piece : pieces) {
    result.response += piece;
    if (plan.streams) plan.writer->on_text(0, piece, out);
  }
  plan.writer->on_end(0, result, out);
  plan.writer->finish(out);
  return out.is_stream() ? out.bytes() : out.response().body;
}

TEST(ToolTest, ADemandedCallIsHeldToASchema) {
  const Plan any = plan_of(create_chat_completion,
                           chat_body(std::string(kWeather) + R"(, "tool_choice": "required")"));
  const Json schema = Json::parse(any.executions[0].options.json_schema);
  EXPECT_EQ(schema["anyOf"].size(), 2U);
  EXPECT_EQ(any.executions[0].messages.front().role, "system");
  const Plan named =
      plan_of(create_chat_completion,
              chat_body(std::string(kWeather) +
                        R"(, "tool_choice": {"type": "function", "function": {"name": "time"}})"));
  EXPECT_EQ(Json::parse(named.executions[0].options.json_schema)["properties"]["name"]["const"],
            "time");
  const Plan none = plan_of(create_chat_completion,
                            chat_body(std::string(kWeather) + R"(, "tool_choice": "none")"));
  EXPECT_EQ(none.executions[0].options.json_schema, "");
  EXPECT_EQ(none.executions[0].messages.size(), 1U);
}

TEST(ToolTest, ACallIsReportedAsOne) {
  Plan whole = plan_of(create_chat_completion, chat_body(kWeather));
  const Json choice = Json::parse(written(whole, {kCall}))["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_EQ(choice["message"]["content"], nullptr);
  EXPECT_EQ(choice["message"]["tool_calls"][0]["function"]["name"], "weather");
  EXPECT_EQ(choice["message"]["tool_calls"][0]["function"]["arguments"], R"({"city":"Rome"})");

  Plan stream =
      plan_of(create_chat_completion, chat_body(std::string(kWeather) + R"(, "stream": true)"));
  const std::string events = written(stream, {R"({"name": "weather", )", R"("arguments": {}})"});
  EXPECT_EQ(events.find(R"("content":"{)"), std::string::npos) << events;
  EXPECT_NE(events.find(R"("tool_calls":[{"id":"call_exec-1")"), std::string::npos) << events;
}

TEST(ToolTest, WhatIsNoCallIsText) {
  for (const char* answer : {"It is sunny.", R"({"name": "rm", "arguments": {}})", "{ not json"}) {
    Plan whole = plan_of(create_chat_completion, chat_body(kWeather));
    const Json choice = Json::parse(written(whole, {answer}))["choices"][0];
    EXPECT_EQ(choice["finish_reason"], "stop");
    EXPECT_EQ(choice["message"]["content"], answer);
    Plan stream =
        plan_of(create_chat_completion, chat_body(std::string(kWeather) + R"(, "stream": true)"));
    EXPECT_NE(written(stream, {answer}).find(dump(Json(answer))), std::string::npos);
  }
}

TEST(ToolTest, EarlierCallsAndTheirResultsAreToldToTheModel) {
  const Plan plan = plan_of(create_chat_completion, R"({"model": "m", "messages": [
      {"role": "user", "content": "Weather?"},
      {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function",
        "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}}]},
      {"role": "tool", "tool_call_id": "c1", "content": "sunny"}]})");
  const auto& messages = plan.executions[0].messages;
  ASSERT_EQ(messages.size(), 3U);
  EXPECT_EQ(messages[1].content, R"({"name": "weather", "arguments": {"city":"Rome"}})");
  EXPECT_EQ(messages[2], (ChatMessage{"tool", "sunny"}));
}

TEST(LogprobTest, TokensComeWithTheirProbabilities) {
  Plan plan = plan_of(create_chat_completion, chat_body(R"("logprobs": true, "top_logprobs": 1)"));
  EXPECT_EQ(plan.executions[0].options.top_logprobs, 1U);
  Output out;
  plan.writer->on_start({"exec-1"});
  ExecutionResult result{.response = "Hi", .logprobs = {}, .metadata = {}};
  result.logprobs = {{{"Hi", -0.5F}, {{"Hi", -0.5F}}}};
  plan.writer->on_end(0, result, out);
  plan.writer->finish(out);
  const Json token = Json::parse(out.response().body)["choices"][0]["logprobs"]["content"][0];
  EXPECT_EQ(token["token"], "Hi");
  EXPECT_EQ(token["bytes"], (Json{72, 105}));
  EXPECT_EQ(token["top_logprobs"].size(), 1U);
}

/// What each chunk says of its choice's logprobs.
std::vector<Json> logprobs_of(std::string text) {
  std::vector<Json> logprobs;
  for (std::size_t end = text.find("\n\n"); end != std::string::npos; end = text.find("\n\n")) {
    const std::string data = text.substr(6, end - 6);
    if (data != "[DONE]") logprobs.push_back(Json::parse(data)["choices"][0]["logprobs"]);
    text.erase(0, end + 2);
  }
  return logprobs;
}

TEST(LogprobTest, AChunkHasThoseOfItsOwnTokens) {
  Plan plan = plan_of(create_chat_completion, chat_body(R"("logprobs": true, "stream": true)"));
  Output out;
  plan.writer->on_start({"exec-1"});
  ExecutionResult result{.response = "Hello", .logprobs = {}, .metadata = {}};
  result.logprobs = {{{"Hel", -0.5F}, {}}, {{"l", -0.25F}, {}}, {{"o", -1.0F}, {}}};
  const std::span<const TokenLogprobs> all(result.logprobs);
  plan.writer->on_text(0, {"Hel", all.first(1)}, out);
  plan.writer->on_text(0, {"l", all.subspan(1, 1)}, out);
  plan.writer->on_end(0, result, out);  // the "o" was never shown
  plan.writer->finish(out);
  const std::vector<Json> logprobs = logprobs_of(out.bytes());
  ASSERT_EQ(logprobs.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_EQ(logprobs[i]["content"].size(), 1U);
    EXPECT_EQ(logprobs[i]["content"][0]["token"], result.logprobs[i].chosen.token);
  }
}

TEST(LogprobTest, ATextChunkCountsItsOffsetsOn) {
  Plan plan =
      plan_of(create_completion, R"({"model": "m", "prompt": "x", "logprobs": 0, "stream": true})");
  Output out;
  plan.writer->on_start({"exec-1"});
  ExecutionResult result{.response = "Hello", .logprobs = {}, .metadata = {}};
  result.logprobs = {{{"Hel", -0.5F}, {}}, {{"lo", -0.25F}, {}}};
  const std::span<const TokenLogprobs> all(result.logprobs);
  plan.writer->on_text(0, {"Hel", all.first(1)}, out);
  plan.writer->on_text(0, {"lo", all.subspan(1)}, out);
  plan.writer->on_end(0, result, out);
  const std::vector<Json> logprobs = logprobs_of(out.bytes());
  ASSERT_EQ(logprobs.size(), 3U);
  EXPECT_EQ(logprobs[0]["text_offset"], Json::array({0}));
  EXPECT_EQ(logprobs[1]["text_offset"], Json::array({3}));
  EXPECT_EQ(logprobs[2], nullptr);
}

TEST(LogprobTest, TextThatIsHeldBackKeepsItsOwn) {
  Plan plan = plan_of(create_chat_completion,
                      chat_body(std::string(kWeather) + R"(, "logprobs": true, "stream": true)"));
  Output out;
  plan.writer->on_start({"exec-1"});
  ExecutionResult result{.response = " It", .logprobs = {}, .metadata = {}};
  result.logprobs = {{{" ", -0.5F}, {}}, {{"It", -0.25F}, {}}};
  const std::span<const TokenLogprobs> all(result.logprobs);
  plan.writer->on_text(0, {" ", all.first(1)}, out);  // may be a call's beginning
  plan.writer->on_text(0, {"It", all.subspan(1)}, out);
  plan.writer->on_end(0, result, out);
  const std::vector<Json> logprobs = logprobs_of(out.bytes());
  ASSERT_EQ(logprobs.size(), 2U);
  EXPECT_EQ(logprobs[0]["content"].size(), 2U);
  EXPECT_EQ(logprobs[1], nullptr);
}

TEST(CompletionRequestTest, PromptsAreRaw) {
  const Plan plan =
      plan_of(create_completion, R"({"model": "m", "prompt": ["a", "b"], "n": 2, "stop": "x"})");
  ASSERT_EQ(plan.executions.size(), 4U);
  EXPECT_EQ(plan.executions[1].prompt, "a");
  EXPECT_EQ(plan.executions[2].prompt, "b");
  EXPECT_TRUE(plan.executions[0].options.raw);
  EXPECT_TRUE(plan.executions[0].messages.empty());
}

TEST(CompletionRequestTest, EveryMistakeIsNamed) {
  struct Case {
    const char* body;
    const char* param;
  };
  for (const Case& bad : {
           Case{R"({"model": "m"})", "prompt"},
           Case{R"({"prompt": "x"})", "model"},
           Case{R"({"model": "m", "prompt": [1, 2]})", "prompt"},
           Case{R"({"model": "m", "prompt": ""})", "prompt"},
           Case{R"({"model": "m", "prompt": ["a", "b", "c"], "n": 3})", "prompt"},
           Case{R"({"model": "m", "prompt": "x", "echo": true})", "echo"},
           Case{R"({"model": "m", "prompt": "x", "best_of": 2})", "best_of"},
           Case{R"({"model": "m", "prompt": "x", "logprobs": 21})", "logprobs"},
           Case{R"({"model": "m", "prompt": "x", "messages": []})", "messages"},
       }) {
    const Handled handled = call(create_completion, bad.body);
    ASSERT_FALSE(handled.has_value()) << bad.body;
    EXPECT_EQ(handled.error().param, bad.param) << bad.body;
  }
}

TEST(ErrorTest, HasOpenAisShape) {
  const Response response = render_error({.kind = ErrorKind::RateLimited,
                                          .message = "Slow down.",
                                          .code = "rate_limit_exceeded",
                                          .retry_after_seconds = 3});
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.headers.front().value, "3");
  EXPECT_EQ(Json::parse(response.body), (Json{{"error",
                                               {{"message", "Slow down."},
                                                {"type", "rate_limit_error"},
                                                {"param", nullptr},
                                                {"code", "rate_limit_exceeded"}}}}));
}

TEST(ErrorTest, APromptThatDoesNotFitIsNamedAsTheRequestNamesIt) {
  const EngineError refused(
      SlmRunnerError(runner_error::InvalidInput{"prompt", "9 tokens; the context holds 8"}));
  const Plan plan = plan_of(create_chat_completion, chat_body(R"("n": 1)"));
  const ApiError error = to_api_error(refused, "m", plan.fields);
  EXPECT_EQ(error.param, "messages");
  EXPECT_EQ(error.code, "context_length_exceeded");
}

TEST(ErrorTest, ARefusedSchemaIsNamedAsTheRequestNamesIt) {
  const EngineError refused(
      SlmRunnerError(runner_error::InvalidInput{"json_schema", "no such type"}));
  for (const auto& [more, field] : std::initializer_list<std::pair<std::string, const char*>>{
           {R"("response_format": {"type": "json_object"})", "response_format"},
           {std::string(kWeather) + R"(, "tool_choice": "required")", "tools"}}) {
    const Plan plan = plan_of(create_chat_completion, chat_body(more));
    const ApiError error = to_api_error(refused, "m", plan.fields);
    EXPECT_EQ(error.param, field);
    EXPECT_EQ(error.message, std::string(field) + ": no such type");
    EXPECT_EQ(status_of(error.kind), 400);
  }
}

TEST(ErrorTest, AForeignModelLooksLikeNone) {
  const auto body = [](ModelCatalogError::Details details) {
    const EngineError error(ModelCatalogError(std::move(details)));
    return render_error(to_api_error(error, "m")).body;
  };
  const std::string absent = body(ModelCatalogError::ModelNotFound{"m", "n"});
  EXPECT_EQ(absent, body(ModelCatalogError::AccessDenied{"ann", "m", "it is bob's"}));
  EXPECT_EQ(absent, body(ModelCatalogError::NoModelsForAgent{"ann"}));
  EXPECT_EQ(absent.find("bob"), std::string::npos);
}

TEST(ErrorTest, NothingInsideIsShown) {
  for (SlmRunnerError::Detail detail : std::initializer_list<SlmRunnerError::Detail>{
           runner_error::ModelFileNotFound{"/secret/path"},
           runner_error::ModelInvalid{"/secret/path", "secret reason"},
           runner_error::InitializationFailed{"secret"}, runner_error::ExecutionFailed{"secret"},
           runner_error::IoError{"open /secret", 5}, runner_error::SandboxViolation{"secret"},
           runner_error::ControlUnavailable{{"secret"}, "secret"}}) {
    const ApiError error = to_api_error(EngineError(SlmRunnerError(std::move(detail))), "m");
    EXPECT_EQ(error.message.find("secret"), std::string::npos) << error.message;
    EXPECT_GE(status_of(error.kind), 500);
  }
}

}  // namespace
}  // namespace symbiont::api::openai
