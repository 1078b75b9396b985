// What Anthropic's requests become, what is refused by name, and how answers are said.

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "api/anthropic/errors.h"
#include "api/anthropic/messages.h"
#include "api/json.h"

namespace symbiont::api::anthropic {
namespace {

using Handler = Handled (*)(Gateway&, const Request&);

Handled call(Handler handler, const std::string& body, std::vector<Header> headers = {}) {
  Gateway gateway;
  Request request;
  request.id = "req-1";
  request.identity.agent = "ann";
  request.headers = std::move(headers);
  request.body = body;
  return handler(gateway, request);
}

Plan plan_of(Handler handler, const std::string& body) {
  Handled handled = call(handler, body, {{"anthropic-version", "2023-06-01"}});
  EXPECT_TRUE(handled.has_value()) << body << ": " << handled.error().message;
  if (!handled.has_value()) return {};
  return std::get<Plan>(std::move(*handled));
}

std::string ask(const std::string& more) {
  return R"({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}])" +
         (more.empty() ? "" : ", " + more) + "}";
}

ExecutionResult result_of(std::string text, std::string finish) {
  ExecutionResult result{.response = std::move(text), .logprobs = {}, .metadata = {}};
  result.metadata.finish_reason = std::move(finish);
  result.metadata.usage = {.prompt_tokens = 10, .completion_tokens = 3, .cached_tokens = 8};
  return result;
}

/// What that result used, as this API counts it.
Json usage_2_of_10_read() {
  return {{"input_tokens", 2},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", 8},
          {"output_tokens", 3}};
}

/// The data of each event; its name has to be its type.
std::vector<Json> events_of(std::string text) {
  std::vector<Json> events;
  for (std::size_t end = text.find("\n\n"); end != std::string::npos; end = text.find("\n\n")) {
    const std::size_t data = text.find("\ndata: ");
    events.push_back(Json::parse(text.substr(data + 7, end - data - 7)));
    EXPECT_EQ(text.substr(0, data), "event: " + events.back()["type"].get<std::string>());
    text.erase(0, end + 2);
  }
  EXPECT_EQ(text, "");
  return events;
}

TEST(AnthropicRequestTest, BecomesAnExecution) {
  const Plan plan = plan_of(create_message, R"({
    "model": "m", "max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 5, "stream": true,
    "stop_sequences": ["a", "b"], "metadata": {"user_id": "u"}, "tools": [],
    "thinking": {"type": "disabled"}, "service_tier": "auto",
    "system": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}],
    "messages": [{"role": "user", "content": "a"},
                 {"role": "user", "content": [{"type": "text", "text": "b", "citations": null}]},
                 {"role": "assistant", "content": "c"}, {"role": "user", "content": "d"}]})");
  ASSERT_EQ(plan.executions.size(), 1U);
  EXPECT_TRUE(plan.streams);
  EXPECT_TRUE(plan.content_type.starts_with("text/event-stream"));
  const EngineRequest& execution = plan.executions[0];
  EXPECT_EQ(execution.agent, "ann");
  EXPECT_EQ(execution.model_id, "m");
  EXPECT_EQ(execution.messages,
            (std::vector<ChatMessage>{
                {"system", "Be brief."}, {"user", "a\n\nb"}, {"assistant", "c"}, {"user", "d"}}));
  EXPECT_EQ(execution.options.max_tokens, 7U);
  EXPECT_EQ(execution.options.temperature, 0.5F);
  EXPECT_EQ(execution.options.top_p, 0.9F);
  EXPECT_EQ(execution.options.top_k, 5U);
  EXPECT_EQ(execution.options.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(execution.options.only_count);
}

TEST(AnthropicRequestTest, RemembersUnaskedAndIsAskedTo) {
  const Plan plan = plan_of(create_message, R"({"model": "m", "max_tokens": 7,
    "cache_control": {"type": "ephemeral"},
    "tools": [{"name": "t", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "5m"}}],
    "messages": [
      {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": null}]},
      {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "t", "input": {},
                                         "cache_control": {"type": "ephemeral"}}]},
      {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "b",
                                    "cache_control": {"type": "ephemeral"}}]}]})");
  EXPECT_EQ(plan.executions[0].messages.size(), 4U);
}

TEST(AnthropicRequestTest, CountingNeedsNoAnswer) {
  Plan plan = plan_of(count_tokens, R"({"model": "m", "system": "Be brief.",
    "messages": [{"role": "user", "content": "Hi"}]})");
  ASSERT_EQ(plan.executions.size(), 1U);
  EXPECT_TRUE(plan.executions[0].options.only_count);
  EXPECT_EQ(plan.executions[0].messages.size(), 2U);
  EXPECT_FALSE(plan.streams);
  Output out;
  plan.writer->on_start({"exec-1"});
  plan.writer->on_end(0, result_of("", "stop"), out);
  plan.writer->finish(out);
  EXPECT_EQ(out.response().body, R"({"input_tokens":10})");
  const Handled handled = call(count_tokens, ask(""));
  ASSERT_FALSE(handled.has_value());
  EXPECT_EQ(handled.error().param, "max_tokens");
}

TEST(AnthropicRequestTest, EveryMistakeIsNamed) {
  struct Case {
    const char* more;
    const char* param;
  };
  for (const Case& bad : {
           Case{R"("temperature": 1.1)", "temperature"},
           Case{R"("top_p": 2)", "top_p"},
           Case{R"("top_k": -1)", "top_k"},
           Case{R"("stop_sequences": "a")", "stop_sequences"},
           Case{R"("stop_sequences": [""])", "stop_sequences"},
           Case{R"("stop_sequences": [1])", "stop_sequences"},
           Case{R"("stream": 1)", "stream"},
           Case{R"("metadata": {"user": "u"})", "metadata.user"},
           Case{R"("metadata": "u")", "metadata"},
           Case{R"("tools": {})", "tools"},
           Case{R"("tools": [{}])", "tools[0].name"},
           Case{R"("tools": [{"name": "a b"}])", "tools[0].name"},
           Case{R"("tools": [{"name": "t", "input_schema": 1}])", "tools[0].input_schema"},
           Case{R"("tools": [{"name": "t", "parameters": {}}])", "tools[0].parameters"},
           Case{R"("tools": [{"name": "t", "type": "bash_20250124"}])", "tools[0].type"},
           Case{R"("tools": [{"name": "t", "cache_control": {}}])", "tools[0].cache_control.type"},
           Case{R"("cache_control": {"type": "eternal"})", "cache_control.type"},
           Case{R"("cache_control": {"type": "ephemeral", "ttl": "2h"})", "cache_control.ttl"},
           Case{R"("cache_control": {"type": "ephemeral", "scope": "all"})", "cache_control.scope"},
           Case{R"("cache_control": true)", "cache_control"},
           Case{R"("tool_choice": {"type": "any"})", "tool_choice"},
           Case{R"("tool_choice": {"type": "all"})", "tool_choice.type"},
           Case{R"("tool_choice": {"type": "tool"})", "tool_choice.name"},
           Case{R"("tools": [{"name": "t"}], "tool_choice": {"type": "tool", "name": "u"})",
                "tool_choice"},
           Case{R"("thinking": {"type": "enabled", "budget_tokens": 1024})", "thinking"},
           Case{R"("mcp_servers": [{}])", "mcp_servers"},
           Case{R"("container": "c")", "container"},
           Case{R"("output_config": {})", "output_config"},
           Case{R"("service_tier": "priority")", "service_tier"},
           Case{R"("system": 1)", "system"},
           Case{R"("system": [{"type": "text", "text": "x", "cache_control": {}}])",
                "system[0].cache_control.type"},
           Case{R"("stop": "x")", "stop"},
           Case{R"("seed": 1)", "seed"},
       }) {
    const Handled handled = call(create_message, ask(bad.more));
    ASSERT_FALSE(handled.has_value()) << bad.more;
    EXPECT_EQ(handled.error().kind, ErrorKind::InvalidRequest) << bad.more;
    EXPECT_EQ(handled.error().param, bad.param) << bad.more;
    EXPECT_NE(handled.error().message.find(bad.param), std::string::npos) << bad.more;
  }
}

TEST(AnthropicRequestTest, EveryMistakeInWhatIsRequiredIsNamed) {
  struct Case {
    const char* body;
    const char* param;
  };
  for (const Case& bad : {
           Case{R"({"max_tokens": 1, "messages": [{"role": "user", "content": "x"}]})", "model"},
           Case{R"({"model": "", "max_tokens": 1, "messages": []})", "model"},
           Case{R"({"model": "m", "messages": [{"role": "user", "content": "x"}]})", "max_tokens"},
           Case{R"({"model": "m", "max_tokens": 0, "messages": []})", "max_tokens"},
           Case{R"({"model": "m", "max_tokens": 1})", "messages"},
           Case{R"({"model": "m", "max_tokens": 1, "messages": []})", "messages"},
           Case{R"({"model": "m", "max_tokens": 1, "messages": [{"content": "x"}]})",
                "messages[0].role"},
           Case{R"({"model": "m", "max_tokens": 1,
                    "messages": [{"role": "system", "content": "x"}]})",
                "messages[0].role"},
           Case{R"({"model": "m", "max_tokens": 1, "messages": [{"role": "user"}]})",
                "messages[0].content"},
           Case{R"({"model": "m", "max_tokens": 1, "messages": [
                    {"role": "user", "content": [{"type": "image", "source": {}}]}]})",
                "messages[0].content[0].type"},
           Case{R"({"model": "m", "max_tokens": 1, "messages": [
                    {"role": "user", "content": [{"type": "tool_use"}]}]})",
                "messages[0].content[0].type"},
           Case{R"({"model": "m", "max_tokens": 1, "messages": [
                    {"role": "user", "content": [{"type": "tool_result"}]}]})",
                "messages[0].content[0].tool_use_id"},
           Case{R"({"model": "m", "max_tokens": 1, "messages": [{"role": "assistant",
                    "content": [{"type": "tool_use", "id": "c", "name": "f", "input": 1}]}]})",
                "messages[0].content[0].input"},
           Case{R"({"model": "m", "max_tokens": 1, "messages": [
                    {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]})",
                "messages"},
       }) {
    const Handled handled = call(create_message, bad.body);
    ASSERT_FALSE(handled.has_value()) << bad.body;
    EXPECT_EQ(handled.error().param, bad.param) << bad.body;
  }
}

TEST(AnthropicRequestTest, AVersionIsADate) {
  EXPECT_TRUE(call(create_message, ask(""), {{"anthropic-version", "2031-12-01"}}).has_value());
  EXPECT_TRUE(call(create_message, ask("")).has_value());
  const Handled handled = call(create_message, ask(""), {{"anthropic-version", "latest"}});
  ASSERT_FALSE(handled.has_value());
  EXPECT_EQ(handled.error().param, "anthropic-version");
}

TEST(AnthropicRequestTest, AQueryIsReadOrRefused) {
  Gateway gateway;
  Request request;
  request.body = ask("");
  request.query = "beta=true";
  EXPECT_TRUE(create_message(gateway, request).has_value());
  request.query = "betta=true";
  const Handled handled = create_message(gateway, request);
  ASSERT_FALSE(handled.has_value());
  EXPECT_EQ(handled.error().param, "betta");
}

TEST(AnthropicAnswerTest, AWholeAnswer) {
  Plan plan = plan_of(create_message, ask(""));
  Output out;
  plan.writer->on_start({"exec-1"});
  plan.writer->on_end(0, result_of("Hello", "length"), out);
  plan.writer->finish(out);
  EXPECT_FALSE(out.is_stream());
  EXPECT_EQ(Json::parse(out.response().body),
            (Json{{"id", "msg_1"},
                  {"type", "message"},
                  {"role", "assistant"},
                  {"model", "m"},
                  {"content", Json::array({Json{{"type", "text"}, {"text", "Hello"}}})},
                  {"stop_reason", "max_tokens"},
                  {"stop_sequence", nullptr},
                  {"usage", usage_2_of_10_read()}}));
}

TEST(AnthropicAnswerTest, AStream) {
  Plan plan = plan_of(create_message, ask(R"("stream": true)"));
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
            (std::vector<std::string>{"message_start", "content_block_start", "content_block_delta",
                                      "content_block_delta", "content_block_stop", "message_delta",
                                      "message_stop"}));
  EXPECT_EQ(events[0]["message"]["id"], "msg_1");
  EXPECT_EQ(events[2]["delta"], (Json{{"type", "text_delta"}, {"text", "Hel"}}));
  EXPECT_EQ(events[5]["delta"]["stop_reason"], "end_turn");
  EXPECT_EQ(events[5]["usage"], usage_2_of_10_read());
}

TEST(AnthropicAnswerTest, SaysWhichStopSequenceEndedIt) {
  for (const char* more : {"", R"("stream": true)"}) {
    Plan plan = plan_of(create_message, ask(more));
    Output out;
    ExecutionResult result = result_of("Hello", "stop");
    result.stop = "###";
    plan.writer->on_start({"exec-1"});
    plan.writer->on_end(0, result, out);
    const Json said =
        out.is_stream() ? events_of(out.bytes()).back()["delta"] : Json::parse(out.response().body);
    EXPECT_EQ(said["stop_reason"], "stop_sequence");
    EXPECT_EQ(said["stop_sequence"], "###");
  }
}

TEST(AnthropicAnswerTest, AnEmptyAnswerHasNoBlock) {
  Plan plan = plan_of(create_message, ask(R"("stream": true)"));
  Output out;
  plan.writer->on_start({"exec-1"});
  plan.writer->on_end(0, result_of("", "stop"), out);
  plan.writer->finish(out);
  EXPECT_EQ(events_of(out.bytes()).size(), 3U);
}

TEST(AnthropicAnswerTest, AnErrorEndsAStream) {
  Plan plan = plan_of(create_message, ask(R"("stream": true)"));
  Output out;
  plan.writer->on_start({"exec-1"});
  plan.writer->on_text(0, "Hel", out);
  plan.writer->on_error({.kind = ErrorKind::Internal, .message = "It failed."}, out);
  EXPECT_EQ(events_of(out.bytes()).back(),
            (Json{{"type", "error"},
                  {"error", {{"type", "api_error"}, {"message", "It failed."}}},
                  {"request_id", "req-1"}}));
}

TEST(AnthropicErrorTest, HasAnthropicsTypesAndStatus) {
  struct Case {
    ErrorKind kind;
    const char* code;
    int status;
    const char* type;
  };
  Request request;
  request.id = "req-1";
  for (const Case& c : {
           Case{ErrorKind::InvalidRequest, "", 400, "invalid_request_error"},
           Case{ErrorKind::Unauthenticated, "", 401, "authentication_error"},
           Case{ErrorKind::Forbidden, "", 403, "permission_error"},
           Case{ErrorKind::NotFound, "", 404, "not_found_error"},
           Case{ErrorKind::ModelNotFound, "", 404, "not_found_error"},
           Case{ErrorKind::WrongMethod, "", 405, "invalid_request_error"},
           Case{ErrorKind::TooLarge, "", 413, "request_too_large"},
           Case{ErrorKind::RateLimited, "", 429, "rate_limit_error"},
           Case{ErrorKind::Internal, "", 500, "api_error"},
           Case{ErrorKind::Unavailable, "busy", 529, "overloaded_error"},
           Case{ErrorKind::Unavailable, "shutting_down", 529, "overloaded_error"},
           Case{ErrorKind::Unavailable, "model_unavailable", 503, "api_error"},
           Case{ErrorKind::Timeout, "", 504, "timeout_error"},
       }) {
    const Response response =
        render_error({.kind = c.kind, .message = "No.", .code = c.code}, request);
    EXPECT_EQ(response.status, c.status);
    EXPECT_EQ(Json::parse(response.body), (Json{{"type", "error"},
                                                {"error", {{"type", c.type}, {"message", "No."}}},
                                                {"request_id", "req-1"}}));
  }
}

}  // namespace
}  // namespace symbiont::api::anthropic
