// What requests for responses become, what is refused by name, and how answers are said.

#include "api/openai/responses.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "api/json.h"

namespace symbiont::api::openai {
namespace {

Handled call(const std::string& body) {
  Gateway gateway;
  Request request;
  request.identity.agent = "ann";
  request.body = body;
  return create_response(gateway, request);
}

Plan plan_of(const std::string& body) {
  Handled handled = call(body);
  EXPECT_TRUE(handled.has_value()) << body << ": " << handled.error().message;
  if (!handled.has_value()) return {};
  return std::get<Plan>(std::move(*handled));
}

std::string ask(const std::string& more) {
  return R"({"model": "m", "input": "Hi")" + (more.empty() ? "" : ", " + more) + "}";
}

ExecutionResult result_of(std::string text, std::string finish) {
  ExecutionResult result{.response = std::move(text), .logprobs = {}, .metadata = {}};
  result.metadata.finish_reason = std::move(finish);
  result.metadata.usage = {.prompt_tokens = 10, .completion_tokens = 3, .cached_tokens = 8};
  return result;
}

std::vector<Json> events_of(std::string text) {
  std::vector<Json> events;
  for (std::size_t end = text.find("\n\n"); end != std::string::npos; end = text.find("\n\n")) {
    const std::size_t data = text.find("\ndata: ");
    events.push_back(Json::parse(text.substr(data + 7, end - data - 7)));
    EXPECT_EQ(text.substr(0, data), "event: " + events.back()["type"].get<std::string>());
    EXPECT_EQ(events.back()["sequence_number"], events.size() - 1);
    text.erase(0, end + 2);
  }
  return events;
}

TEST(ResponsesRequestTest, BecomesAnExecution) {
  const Plan plan = plan_of(R"({
    "model": "m", "instructions": "Be brief.", "max_output_tokens": 7, "temperature": 0.5,
    "top_p": 0.9, "stream": true, "stream_options": {"include_obfuscation": false}, "store": false,
    "tools": [], "tool_choice": "auto", "parallel_tool_calls": true, "truncation": "disabled",
    "metadata": {"a": "b"}, "user": "u", "previous_response_id": null, "reasoning": {},
    "text": {"format": {"type": "json_schema", "name": "n", "strict": true,
                        "schema": {"type": "object"}}},
    "input": [{"role": "developer", "content": "x"},
              {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
              {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
               "content": [{"type": "output_text", "text": "c", "annotations": [],
                            "logprobs": []}]}]})");
  ASSERT_EQ(plan.executions.size(), 1U);
  EXPECT_TRUE(plan.streams);
  const EngineRequest& execution = plan.executions[0];
  EXPECT_EQ(execution.agent, "ann");
  EXPECT_EQ(execution.messages,
            (std::vector<ChatMessage>{
                {"system", "Be brief."}, {"system", "x"}, {"user", "ab"}, {"assistant", "c"}}));
  EXPECT_EQ(execution.options.max_tokens, 7U);
  EXPECT_EQ(execution.options.temperature, 0.5F);
  EXPECT_EQ(execution.options.top_p, 0.9F);
  EXPECT_EQ(execution.options.json_schema, R"({"type":"object"})");
}

TEST(ResponsesRequestTest, ATextIsTheUsersMessage) {
  const Plan plan = plan_of(ask(R"("text": {"format": {"type": "json_object"}})"));
  EXPECT_EQ(plan.executions[0].messages, (std::vector<ChatMessage>{{"user", "Hi"}}));
  EXPECT_EQ(plan.executions[0].options.json_schema, R"({"type":"object"})");
  EXPECT_EQ(plan.executions[0].options.max_tokens, 2'048U);
  EXPECT_EQ(
      plan_of(ask(R"("text": {"format": {"type": "text"}})")).executions[0].options.json_schema,
      "");
}

TEST(ResponsesRequestTest, EveryMistakeIsNamed) {
  struct Case {
    const char* more;
    const char* param;
  };
  for (const Case& bad : {
           Case{R"("temperature": 2.1)", "temperature"},
           Case{R"("top_p": "1")", "top_p"},
           Case{R"("max_output_tokens": 0)", "max_output_tokens"},
           Case{R"("instructions": 1)", "instructions"},
           Case{R"("store": true)", "store"},
           Case{R"("background": true)", "background"},
           Case{R"("previous_response_id": "resp_1")", "previous_response_id"},
           Case{R"("conversation": "conv_1")", "conversation"},
           Case{R"("prompt": {"id": "p"})", "prompt"},
           Case{R"("tools": [{"type": "web_search"}])", "tools[0].type"},
           Case{R"("tools": [{"type": "function"}])", "tools[0].name"},
           Case{R"("tools": [{"type": "function", "name": "f"}], "tool_choice": "required",
                   "text": {"format": {"type": "json_object"}})",
                "text.format"},
           Case{R"("tool_choice": "required")", "tool_choice"},
           Case{R"("include": ["message.output_text.logprobs"])", "include"},
           Case{R"("reasoning": {"effort": "low"})", "reasoning"},
           Case{R"("truncation": "auto")", "truncation"},
           Case{R"("top_logprobs": 2)", "top_logprobs"},
           Case{R"("service_tier": "flex")", "service_tier"},
           Case{R"("stream_options": {})", "stream_options"},
           Case{R"("stream": true, "stream_options": {"include_obfuscation": true})",
                "stream_options.include_obfuscation"},
           Case{R"("metadata": {"a": 1})", "metadata"},
           Case{R"("text": {"verbosity": "low"})", "text.verbosity"},
           Case{R"("text": {"format": {"type": "xml"}})", "text.format.type"},
           Case{R"("text": {"format": {"type": "text", "schema": {}}})", "text.format.schema"},
           Case{R"("text": {"format": {"type": "json_schema", "name": "n"}})",
                "text.format.schema"},
           Case{R"("text": {"format": {"type": "json_schema", "schema": {}}})", "text.format.name"},
           Case{R"("text": {"format": {"type": "json_schema", "name": "n", "schema": 1}})",
                "text.format.schema"},
           Case{R"("max_tokens": 1)", "max_tokens"},
       }) {
    const Handled handled = call(ask(bad.more));
    ASSERT_FALSE(handled.has_value()) << bad.more;
    EXPECT_EQ(handled.error().kind, ErrorKind::InvalidRequest) << bad.more;
    EXPECT_EQ(handled.error().param, bad.param) << bad.more;
  }
}

TEST(ResponsesRequestTest, EveryMistakeInTheInputIsNamed) {
  struct Case {
    const char* input;
    const char* param;
  };
  for (const Case& bad : {
           Case{"null", "input"},
           Case{"\"\"", "input"},
           Case{"[]", "input"},
           Case{"[1]", "input[0]"},
           Case{R"([{"content": "x"}])", "input[0].role"},
           Case{R"([{"role": "boss", "content": "x"}])", "input[0].role"},
           Case{R"([{"role": "user"}])", "input[0].content"},
           Case{R"([{"type": "reasoning"}])", "input[0].type"},
           Case{R"([{"type": "function_call", "name": "f"}])", "input[0].call_id"},
           Case{R"([{"type": "function_call", "call_id": "c", "name": "f", "arguments": "x"}])",
                "input[0].arguments"},
           Case{R"([{"type": "function_call_output", "call_id": "c"}])", "input[0].output"},
           Case{R"([{"role": "user", "content": [{"type": "input_image"}]}])",
                "input[0].content[0].type"},
           Case{R"([{"role": "user", "content": [{"type": "output_text", "text": "x"}]}])",
                "input[0].content[0].type"},
           Case{R"([{"role": "assistant", "content": [
                    {"type": "output_text", "text": "x", "annotations": [{}]}]}])",
                "input[0].content[0].annotations"},
       }) {
    const Handled handled = call(R"({"model": "m", "input": )" + std::string(bad.input) + "}");
    ASSERT_FALSE(handled.has_value()) << bad.input;
    EXPECT_EQ(handled.error().param, bad.param) << bad.input;
  }
}

TEST(ResponsesAnswerTest, AWholeAnswer) {
  Plan plan = plan_of(ask(R"("max_output_tokens": 3, "metadata": {"a": "b"}, "temperature": 0.7)"));
  Output out;
  plan.writer->on_start({"exec-1"});
  plan.writer->on_end(0, result_of("Hello", "length"), out);
  plan.writer->finish(out);
  const Json json = Json::parse(out.response().body);
  EXPECT_EQ(json["id"], "resp_1");
  EXPECT_EQ(json["object"], "response");
  EXPECT_EQ(json["status"], "incomplete");
  EXPECT_EQ(json["incomplete_details"]["reason"], "max_output_tokens");
  EXPECT_EQ(json["output"][0]["content"][0]["text"], "Hello");
  EXPECT_EQ(json["output"][0]["status"], "incomplete");
  EXPECT_EQ(json["store"], false);
  EXPECT_EQ(json["temperature"], 0.7);
  EXPECT_EQ(json["max_output_tokens"], 3);
  EXPECT_EQ(json["metadata"], (Json{{"a", "b"}}));
  EXPECT_EQ(json["usage"], (Json{{"input_tokens", 10},
                                 {"input_tokens_details", {{"cached_tokens", 8}}},
                                 {"output_tokens", 3},
                                 {"output_tokens_details", {{"reasoning_tokens", 0}}},
                                 {"total_tokens", 13}}));
}

TEST(ResponsesAnswerTest, AStream) {
  Plan plan = plan_of(ask(R"("stream": true)"));
  Output out;
  plan.writer->on_start({"exec-1"});
  plan.writer->on_text(0, "Hel", out);
  plan.writer->on_text(0, "lo", out);
  plan.writer->on_end(0, result_of("Hello", "stop"), out);
  plan.writer->finish(out);
  const std::vector<Json> events = events_of(out.bytes());
  std::vector<std::string> types;
  for (const Json& event : events)
    types.push_back(event["type"]);
  EXPECT_EQ(types,
            (std::vector<std::string>{"response.created", "response.in_progress",
                                      "response.output_item.added", "response.content_part.added",
                                      "response.output_text.delta", "response.output_text.delta",
                                      "response.output_text.done", "response.content_part.done",
                                      "response.output_item.done", "response.completed"}));
  EXPECT_EQ(events[0]["response"]["status"], "in_progress");
  EXPECT_EQ(events[5]["delta"], "lo");
  EXPECT_EQ(events[5]["item_id"], "msg_1");
  EXPECT_EQ(events[6]["text"], "Hello");
  EXPECT_EQ(events[9]["response"]["status"], "completed");
  EXPECT_EQ(events[9]["response"]["output"][0], events[8]["item"]);
  EXPECT_EQ(events[9]["response"]["usage"]["total_tokens"], 13);
}

TEST(ResponsesAnswerTest, AnEndTooEarlyIsToldInAStream) {
  for (const bool is_error : {false, true}) {
    Plan plan = plan_of(ask(R"("stream": true)"));
    Output out;
    plan.writer->on_start({"exec-1"});
    plan.writer->on_text(0, "Hel", out);
    if (is_error) {
      plan.writer->on_error({.kind = ErrorKind::Internal, .message = "It failed."}, out);
    } else {
      plan.writer->on_end(0, result_of("Hel", "length"), out);
    }
    const Json last = events_of(out.bytes()).back();
    EXPECT_EQ(last["type"], is_error ? "response.failed" : "response.incomplete");
    EXPECT_EQ(last["response"]["status"], is_error ? "failed" : "incomplete");
    EXPECT_EQ(last["response"]["output"][0]["content"][0]["text"], "Hel");
    const Json& error = last["response"]["error"];
    EXPECT_EQ(error,
              is_error ? (Json{{"code", "server_error"}, {"message", "It failed."}}) : Json());
  }
}

}  // namespace
}  // namespace symbiont::api::openai
