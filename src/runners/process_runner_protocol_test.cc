#include "runners/process_runner_protocol.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace symbiont::engine_protocol {
namespace {

std::string problem(std::string_view line) {
  const auto message = parse(line);
  return message.has_value() ? "no problem" : message.error().message();
}

TEST(EngineProtocol, ReadsEveryMessage) {
  const auto ready = parse(R"({"type":"ready","protocol":1,"name":"n","version":"2","more":[]})");
  ASSERT_TRUE(ready.has_value());
  EXPECT_EQ(std::get<Ready>(*ready).name, "n");
  EXPECT_EQ(std::get<Ready>(*ready).version, "2");

  const auto token = parse(R"({"type":"token","id":7,"text":"h\u00e9"})");
  ASSERT_TRUE(token.has_value());
  EXPECT_EQ(std::get<Token>(*token).id, 7U);
  EXPECT_EQ(std::get<Token>(*token).text, "h\u00e9");

  const auto done = parse(
      R"({"type":"done","id":7,"finish_reason":"length","usage":{"prompt_tokens":3,"completion_tokens":4}})");
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(std::get<Done>(*done).finish, Finish::Length);
  EXPECT_EQ(std::get<Done>(*done).usage.completion_tokens, 4U);

  const auto error = parse(R"({"type":"error","id":null,"code":"invalid_input","message":"a\nb"})");
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(std::get<Failed>(*error).id, 0U);
  EXPECT_TRUE(std::get<Failed>(*error).invalid_input);
  EXPECT_EQ(std::get<Failed>(*error).message, "a?b");
}

TEST(EngineProtocol, SaysWhatCameInsteadOfAMessage) {
  struct Case {
    std::string line;
    std::string problem;
  };
  const std::vector<Case> cases = {
      {"", "a line that is no JSON object: ''"},
      {"Loading\x1b[2J", "a line that is no JSON object: 'Loading?[2J'"},
      {"[1]", "a line that is no JSON object: '[1]'"},
      {"{}", "an object without a type: '{}'"},
      {R"({"type":3})", "an object without a type: '{\"type\":3}'"},
      {R"({"type":"execute"})", "a message of the unknown type 'execute'"},
      {R"({"type":"ready"})", "a 'ready' whose protocol is no number"},
      {R"({"type":"ready","protocol":2})", "a 'ready' for protocol 2; this host speaks 1"},
      {R"({"type":"token","text":"a"})", "a 'token' whose id is no number"},
      {R"({"type":"token","id":-1,"text":"a"})", "a 'token' whose id is no number"},
      {R"({"type":"token","id":1,"text":null})", "a 'token' whose text is no string"},
      {R"({"type":"done","id":1,"finish_reason":"x"})",
       "a 'done' whose finish_reason is 'x', none of stop, length, cancelled"},
      {R"({"type":"done","id":1,"finish_reason":"stop"})", "a 'done' whose usage is no object"},
      {R"({"type":"done","id":1,"finish_reason":"stop","usage":{"prompt_tokens":1}})",
       "a 'done' whose usage has no counts prompt_tokens and completion_tokens"},
      {R"({"type":"error","id":1,"code":"x"})",
       "a 'error' whose code is 'x', none of invalid_input, failed"},
  };
  for (const Case& test : cases)
    EXPECT_EQ(problem(test.line), test.problem) << test.line;
}

TEST(EngineProtocol, DeepNestingIsNotParsed) {
  const std::string deep = R"({"type":"token","id":1,"text":)" + std::string(60'000, '[');
  EXPECT_TRUE(problem(deep).starts_with("JSON nested deeper than 8: "));
  const std::string in_text = R"({"type":"token","id":1,"text":"\"[[[[[[[[[[[["})";
  EXPECT_EQ(problem(in_text), "no problem");
}

TEST(EngineProtocol, BytesThatAreNotUtf8AreReplaced) {
  const auto token = parse("{\"type\":\"token\",\"id\":1,\"text\":\"a\xFF\xC3\"}");
  ASSERT_TRUE(token.has_value());
  EXPECT_EQ(std::get<Token>(*token).text, "a\uFFFD\uFFFD");
}

TEST(EngineProtocol, ARequestIsOneLine) {
  const std::vector<ChatMessage> messages = {{"system", "s"}, {"user", "two\nlines"}};
  ExecutionOptions options;
  options.max_tokens = 5;
  options.stop = {"\n"};
  const std::string line = execute_line(3, messages, options, 9);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_NE(line.find(R"("prompt":"two\nlines")"), std::string::npos) << line;
  EXPECT_NE(line.find(R"("max_tokens":5)"), std::string::npos);
  EXPECT_NE(line.find(R"("seed":9)"), std::string::npos);
  EXPECT_EQ(cancel_line(3), "{\"id\":3,\"type\":\"cancel\"}\n");
}

}  // namespace
}  // namespace symbiont::engine_protocol
