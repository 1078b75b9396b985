// Several APIs on one server: each answers in its own words, also when something is wrong.

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/server_for_test.h"

namespace symbiont::api {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ServerApisTest : public ServerFixture {
 protected:
  static std::string message(const std::string& prompt, const std::string& more = {}) {
    return chat(prompt, R"(, "max_tokens": 5)" + more);
  }
};

TEST_F(ServerApisTest, AnthropicsMessages) {
  start();
  const Answer whole = call("POST", "/v1/messages", message("hello"));
  ASSERT_EQ(whole.status, 200) << whole.body;
  EXPECT_EQ(whole.json()["content"][0]["text"], "hello");
  EXPECT_EQ(whole.json()["usage"], (Json{{"input_tokens", 4},
                                         {"cache_creation_input_tokens", 0},
                                         {"cache_read_input_tokens", 1},
                                         {"output_tokens", 1}}));
  EXPECT_THAT(whole.head, HasSubstr("\r\nrequest-id: req-"));
  const Answer stream = call("POST", "/v1/messages", message("count 3", R"(, "stream": true)"));
  ASSERT_EQ(stream.status, 200);
  EXPECT_THAT(stream.body, HasSubstr("event: message_start\n"));
  EXPECT_THAT(stream.body, HasSubstr("event: message_stop\n"));
}

TEST_F(ServerApisTest, AnthropicsErrors) {
  start();
  struct Case {
    const char* method;
    const char* path;
    std::string body;
    int status;
    const char* type;
  };
  for (const Case& c : {
           Case{"POST", "/v1/messages", "{", 400, "invalid_request_error"},
           Case{"POST", "/v1/messages", message("x", R"(, "tools": [{}])"), 400,
                "invalid_request_error"},
           Case{"POST", "/v1/messages", chat("x", R"(, "max_tokens": 5)", "hidden"), 404,
                "not_found_error"},
           Case{"POST", "/v1/messages", message("fail"), 500, "api_error"},
           Case{"GET", "/v1/messages", "", 405, "invalid_request_error"},
           Case{"POST", "/v1/messages/batches", "{}", 404, "not_found_error"},
       }) {
    SCOPED_TRACE(c.body);
    const Answer answer = call(c.method, c.path, c.body, "x-request-id: mine\r\n");
    EXPECT_EQ(answer.status, c.status);
    ASSERT_EQ(answer.json()["type"], "error");
    EXPECT_EQ(answer.json()["error"]["type"], c.type);
    EXPECT_EQ(answer.json()["request_id"], "mine");
    EXPECT_THAT(answer.body, Not(HasSubstr("secret")));
  }
}

TEST_F(ServerApisTest, ModelsAreListedInTheCallersWords) {
  start();
  EXPECT_EQ(call("GET", "/v1/models").json()["object"], "list");
  const std::string version = "anthropic-version: 2023-06-01\r\n";
  const Json list = call("GET", "/v1/models", "", version).json();
  EXPECT_EQ(list["data"].size(), 1U);
  EXPECT_EQ(list["data"][0]["type"], "model");
  EXPECT_EQ(list["data"][0]["display_name"], "open");
  EXPECT_EQ(list["has_more"], false);
  EXPECT_EQ(list["last_id"], "open");
  EXPECT_EQ(call("GET", "/v1/models/open", "", version).json()["id"], "open");
  EXPECT_EQ(call("GET", "/v1/models/own", "", version).json()["type"], "error");
  EXPECT_EQ(call("GET", "/v1/models?limit=1", "", version).status, 400);
}

TEST_F(ServerApisTest, Ollamas) {
  start();
  const Answer lines = call("POST", "/api/chat", chat("count 2", "", "open:latest"));
  ASSERT_EQ(lines.status, 200) << lines.body;
  EXPECT_THAT(lines.head, HasSubstr("application/x-ndjson"));
  EXPECT_THAT(lines.body, HasSubstr(R"("done":true,"done_reason":"stop")"));
  const Answer whole =
      call("POST", "/api/generate", R"({"model": "open", "prompt": "hello", "stream": false})");
  ASSERT_EQ(whole.status, 200) << whole.body;
  EXPECT_EQ(whole.json()["response"], "hello");
  EXPECT_EQ(whole.json()["prompt_eval_count"], 5);
  EXPECT_EQ(call("GET", "/api/tags").json()["models"][0]["model"], "open");
  EXPECT_FALSE(call("GET", "/api/version").json()["version"].get<std::string>().empty());
  EXPECT_EQ(call("GET", "/api/ps").json()["models"], Json::array());
}

TEST_F(ServerApisTest, OllamasModelsThatRun) {
  start();
  TestClient client(port_);
  client.send(request("POST", "/api/chat", chat("block")));
  ASSERT_TRUE(wait_executions(1));
  const Json models = call("GET", "/api/ps").json()["models"];
  ASSERT_EQ(models.size(), 1U);
  EXPECT_EQ(models[0]["name"], "open");
}

TEST_F(ServerApisTest, OllamasErrors) {
  start();
  struct Case {
    const char* method;
    const char* path;
    std::string body;
    int status;
  };
  for (const Case& c : {
           Case{"POST", "/api/chat", "[]", 400},
           Case{"POST", "/api/chat", chat("x", R"(, "options": {"num_ctx": 100000})"), 400},
           Case{"POST", "/api/chat", chat("x", "", "hidden:latest"), 404},
           Case{"POST", "/api/chat", chat("fail"), 500},
           Case{"POST", "/api/show", R"({"model": "hidden"})", 404},
           Case{"GET", "/api/chat", "", 405},
           Case{"POST", "/api/pull", R"({"model": "x"})", 501},
           Case{"DELETE", "/api/delete", R"({"model": "x"})", 501},
           Case{"POST", "/api/embed", R"({"model": "x"})", 400},
           Case{"POST", "/api/embed", R"({"model": "open", "input": "x"})", 400},
           Case{"POST", "/api/embed", R"({"model": "hidden", "input": "x"})", 404},
           Case{"GET", "/api/tags?x=1", "", 400},
           Case{"GET", "/api/nothing", "", 404},
       }) {
    SCOPED_TRACE(c.path + c.body);
    const Answer answer = call(c.method, c.path, c.body);
    EXPECT_EQ(answer.status, c.status);
    const Json json = answer.json();
    EXPECT_EQ(json.size(), 1U);
    EXPECT_TRUE(json["error"].is_string()) << answer.body;
    EXPECT_THAT(answer.body, Not(HasSubstr("secret")));
  }
}

TEST_F(ServerApisTest, EmbeddingsOfModelsThatMakeThem) {
  ServerSettings settings;
  settings.default_agent = "ann";
  start(std::move(settings));
  const std::string ask = R"({"model": "own", "input": ["a", "bcd"]})";
  const Answer openai = call("POST", "/v1/embeddings", ask);
  ASSERT_EQ(openai.status, 200) << openai.body;
  EXPECT_THAT(openai.head, HasSubstr("x-execution-id: exec-"));
  EXPECT_EQ(openai.json()["data"][1]["embedding"], Json::array({3.0}));
  EXPECT_EQ(openai.json()["usage"]["total_tokens"], 5);
  EXPECT_EQ(call("POST", "/api/embed", ask).json()["embeddings"], Json::parse("[[1.0], [3.0]]"));
  EXPECT_EQ(call("POST", "/api/embeddings", R"({"model": "own", "prompt": "ab"})").json(),
            Json::parse(R"({"embedding": [2.0]})"));
  const Answer other = call("POST", "/v1/embeddings", R"({"model": "open", "input": "x"})");
  EXPECT_EQ(other.status, 400);
  EXPECT_EQ(other.json()["error"]["param"], "model");
  EXPECT_THAT(other.body, HasSubstr("makes no embeddings"));
  const Answer hidden = call("POST", "/v1/embeddings", R"({"model": "hidden", "input": "x"})");
  EXPECT_EQ(hidden.status, 404);
}

TEST_F(ServerApisTest, OpenAisResponses) {
  start();
  const Answer whole = call("POST", "/v1/responses", R"({"model": "open", "input": "hello"})");
  ASSERT_EQ(whole.status, 200) << whole.body;
  EXPECT_EQ(whole.json()["output"][0]["content"][0]["text"], "hello");
  EXPECT_EQ(whole.json()["usage"]["total_tokens"], 6);
  const Answer stream =
      call("POST", "/v1/responses", R"({"model": "open", "input": "count 2", "stream": true})");
  EXPECT_THAT(stream.body, HasSubstr("event: response.completed\n"));
  const Answer failed = call("POST", "/v1/responses", R"({"model": "open", "input": "fail"})");
  EXPECT_EQ(failed.status, 500);
  EXPECT_EQ(failed.json()["error"]["type"], "server_error");
}

}  // namespace
}  // namespace symbiont::api
