// The server from outside: what a client gets to see.

#include <cstdlib>
#include <filesystem>
#include <future>

#include <gmock/gmock.h>

#include "api/keys.h"
#include "api/server_for_test.h"

namespace symbiont::api {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ServerTest : public ServerFixture {};

TEST_F(ServerTest, AnswersAChat) {
  start();
  const Answer answer = chat_call(chat("hello"));
  ASSERT_EQ(answer.status, 200) << answer.body;
  const Json json = answer.json();
  EXPECT_EQ(json["choices"][0]["message"]["content"], "hello");
  EXPECT_EQ(json["usage"]["total_tokens"], 6);
  EXPECT_THAT(answer.head, HasSubstr("x-execution-id: exec-"));
  EXPECT_THAT(answer.head, HasSubstr("x-request-id: req-"));
  const std::string id = json["id"].get<std::string>().substr(std::string("chatcmpl-").size());
  EXPECT_THAT(answer.head, HasSubstr("exec-" + id));
}

TEST_F(ServerTest, StreamsAChat) {
  start();
  const Answer answer = chat_call(chat("count 3", R"(, "stream": true)"));
  ASSERT_EQ(answer.status, 200);
  EXPECT_THAT(answer.head, HasSubstr("Content-Type: text/event-stream"));
  EXPECT_THAT(answer.head, HasSubstr("Transfer-Encoding: chunked"));
  EXPECT_THAT(answer.head, HasSubstr("x-execution-id: exec-"));
  EXPECT_THAT(answer.body, HasSubstr("\"role\":\"assistant\""));
  EXPECT_THAT(answer.body, HasSubstr("data: [DONE]\n\n"));
  EXPECT_TRUE(answer.body.ends_with("0\r\n\r\n"));
}

TEST_F(ServerTest, SeveralChoicesAndTextCompletions) {
  start();
  const Answer chats = chat_call(chat("x", R"(, "n": 3)"));
  ASSERT_EQ(chats.status, 200);
  EXPECT_EQ(chats.json()["choices"].size(), 3U);
  EXPECT_EQ(chats.json()["usage"]["completion_tokens"], 3);
  const Answer texts =
      call("POST", "/v1/completions", R"({"model": "open", "prompt": ["a", "b"]})");
  ASSERT_EQ(texts.status, 200) << texts.body;
  EXPECT_EQ(texts.json()["choices"][1]["text"], "b");
}

TEST_F(ServerTest, ErrorsBeforeAStreamHaveTheirStatus) {
  start();
  const Answer absent = chat_call(chat("x", R"(, "stream": true)", "nothing"));
  EXPECT_EQ(absent.status, 404);
  EXPECT_EQ(absent.json()["error"]["code"], "model_not_found");
  const Answer failed = chat_call(chat("fail", R"(, "stream": true)"));
  EXPECT_EQ(failed.status, 500);
  EXPECT_EQ(failed.json()["error"]["type"], "server_error");
  EXPECT_THAT(failed.body, Not(HasSubstr("secret")));
}

TEST_F(ServerTest, AForeignModelIsAnsweredLikeNone) {
  start();
  const auto body_for = [&](const std::string& model) {
    std::string body = chat_call(chat("x", "", model)).body;
    const std::size_t at = body.find(model);
    EXPECT_NE(at, std::string::npos) << body;
    return body.replace(at, model.size(), "M");
  };
  EXPECT_EQ(body_for("own"), body_for("nothing"));
  EXPECT_EQ(call("GET", "/v1/models/own").status, 404);
  EXPECT_EQ(call("GET", "/v1/models/open").status, 200);
  const Json list = call("GET", "/v1/models").json();
  ASSERT_EQ(list["data"].size(), 1U);
  EXPECT_EQ(list["data"][0]["id"], "open");
}

TEST_F(ServerTest, PathsMethodsAndBodies) {
  start();
  EXPECT_EQ(call("GET", "/").status, 404);
  const Answer wrong = call("GET", "/v1/chat/completions");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_THAT(wrong.head, HasSubstr("Allow: POST"));
  EXPECT_EQ(chat_call("{").status, 400);
  EXPECT_EQ(chat_call("").status, 400);
  EXPECT_EQ(chat_call(chat("x", R"(, "temperature": 3)")).json()["error"]["param"], "temperature");
  EXPECT_EQ(call("GET", "/healthz").status, 200);
  EXPECT_EQ(call("GET", "/readyz").status, 200);
  EXPECT_EQ(call("GET", "/admin/executions").status, 403);
  TestClient garbage(port_);
  garbage.send("\x16\x03\x01 garbage\r\n\r\n");
  EXPECT_EQ(split(garbage.receive()).status, 400);
}

TEST_F(ServerTest, APageThatIsAllowedIsToldSoOnce) {
  ServerSettings settings;
  settings.cors_origins = {"https://app.example"};
  start(settings);
  const std::string page = "Origin: https://app.example\r\n";
  for (const Answer& answer : {call("OPTIONS", "/v1/chat/completions", "",
                                    page + "Access-Control-Request-Method: POST\r\n"),
                               chat_call(chat("x"), page)}) {
    const std::string_view name = "Access-Control-Allow-Origin: ";
    const auto first = answer.head.find(name);
    ASSERT_NE(first, std::string::npos) << answer.head;
    EXPECT_EQ(answer.head.find(name, first + 1), std::string::npos) << "browsers refuse two";
  }
}

TEST_F(ServerTest, ForeignHostsAndOriginsAreRefused) {
  start();
  TestClient rebound(port_);
  rebound.send("GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(split(rebound.receive()).status, 403);
  EXPECT_EQ(chat_call(chat("x"), "Origin: https://evil.example\r\n").status, 403);
  EXPECT_TRUE(dispatcher_->list().empty());
}

TEST_F(ServerTest, OneConnectionServesManyRequests) {
  start();
  TestClient client(port_);
  for (const std::string prompt : {"one", "two"}) {
    client.send(request("POST", "/v1/chat/completions", chat(prompt)));
    EXPECT_THAT(client.receive(prompt + "\""), HasSubstr("200 OK"));
  }
  client.send(request("POST", "/v1/chat/completions", chat("count 2", R"(, "stream": true)")));
  EXPECT_THAT(client.receive("0\r\n\r\n"), HasSubstr("[DONE]"));
  // Two at once: the second one waits for the first.
  client.send(request("GET", "/healthz") +
              request("GET", "/v1/models", {}, "Connection: close\r\n"));
  const std::string both = client.receive();
  EXPECT_LT(both.find("\"ok\""), both.find("\"open\""));
}

TEST_F(ServerTest, AClientThatLeavesFreesItsSlot) {
  start();
  for (const std::string more : {"", R"(, "stream": true)"}) {
    TestClient client(port_);
    client.send(request("POST", "/v1/chat/completions", chat("block", more)));
    ASSERT_TRUE(wait_executions(1));
    client.close();
    EXPECT_TRUE(wait_executions(0));
  }
}

TEST_F(ServerTest, AnExecutionIsCancelledById) {
  start();
  TestClient client(port_);
  client.send(request("POST", "/v1/chat/completions", chat("block"), "Connection: close\r\n"));
  ASSERT_TRUE(wait_executions(1));
  EXPECT_TRUE(dispatcher_->cancel(dispatcher_->list().front().id));
  const Answer answer = split(client.receive());
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.json()["error"]["code"], "cancelled");
}

TEST_F(ServerTest, AnErrorInAStreamEndsIt) {
  start();
  TestClient client(port_);
  client.send(request("POST", "/v1/chat/completions", chat("block", R"(, "stream": true)"),
                      "Connection: close\r\n"));
  (void)client.receive("waiting");
  ASSERT_TRUE(wait_executions(1));
  EXPECT_TRUE(dispatcher_->cancel(dispatcher_->list().front().id));
  const std::string rest = client.receive();
  EXPECT_THAT(rest, HasSubstr("data: {\"error\":"));
  EXPECT_THAT(rest, HasSubstr("data: [DONE]"));
}

class KeyedServerTest : public ServerFixture {
 protected:
  KeyedServerTest() {
    std::string name = ::testing::TempDir() + "serverXXXXXX";
    folder_ = ::mkdtemp(name.data());
    settings_.keys_file = folder_ / "keys.json";
  }
  void TearDown() override {
    ServerFixture::TearDown();
    std::filesystem::remove_all(folder_);
  }
  NewKey make(const std::string& agent,
              Scopes scopes,
              std::optional<std::chrono::seconds> lifetime = {}) {
    auto made = add_key(settings_.keys_file, agent, scopes, lifetime);
    EXPECT_TRUE(made.has_value());
    return made.has_value() ? *made : NewKey{};
  }
  static std::string bearer(const NewKey& key) {
    return "Authorization: Bearer " + key.key + "\r\n";
  }

  std::filesystem::path folder_;
  ServerSettings settings_;
};

TEST_F(KeyedServerTest, AKeyIsAnAgentWithScopes) {
  const NewKey ann = make("ann", Scopes().with(Scope::Inference));
  const NewKey root = make("root", Scopes().with(Scope::Admin));
  start(settings_);
  EXPECT_EQ(call("GET", "/v1/models").status, 401);
  EXPECT_EQ(call("GET", "/v1/models", {}, "x-api-key: sym-wrong\r\n").json()["error"]["code"],
            "invalid_api_key");
  EXPECT_EQ(call("GET", "/healthz").status, 200);
  EXPECT_EQ(call("GET", "/metrics").status, 401);
  EXPECT_EQ(call("GET", "/v1/models", {}, bearer(ann)).json()["data"].size(), 2U);
  EXPECT_EQ(chat_call(chat("x", "", "own"), bearer(ann)).status, 200);
  EXPECT_EQ(call("GET", "/admin/executions", {}, bearer(ann)).status, 403);
  EXPECT_EQ(call("GET", "/v1/models", {}, bearer(root)).status, 403);

  TestClient client(port_);
  client.send(request("POST", "/v1/chat/completions", chat("block"), bearer(ann)));
  ASSERT_TRUE(wait_executions(1));
  const Json list = call("GET", "/admin/executions", {}, bearer(root)).json();
  ASSERT_EQ(list["executions"].size(), 1U);
  EXPECT_EQ(list["executions"][0]["agent"], "ann");
  const std::string id = list["executions"][0]["execution_id"];
  EXPECT_EQ(call("DELETE", "/admin/executions/" + id, {}, bearer(root)).status, 200);
  EXPECT_TRUE(wait_executions(0));
  EXPECT_EQ(call("DELETE", "/admin/executions/" + id, {}, bearer(root)).status, 404);
}

TEST_F(KeyedServerTest, AConfigurationThatTakesLongToReadHoldsNobodyUp) {
  const NewKey root = make("root", Scopes().with(Scope::Admin));
  std::promise<void> reading;
  std::promise<void> may_end;
  std::thread::id loop;
  std::thread::id reader;
  reload_ = [&]() -> Gateway::TakeOver {
    reader = std::this_thread::get_id();
    reading.set_value();
    may_end.get_future().wait_for(std::chrono::seconds(20));
    return [&]() -> std::expected<void, std::string> {
      loop = std::this_thread::get_id();
      return {};
    };
  };
  start(settings_);
  TestClient client(port_);
  client.send(request("POST", "/admin/reload", {}, bearer(root) + "Connection: close\r\n"));
  ASSERT_EQ(reading.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_EQ(call("GET", "/healthz").status, 200) << "while it is read";
  may_end.set_value();
  EXPECT_EQ(split(client.receive()).status, 200);
  EXPECT_EQ(loop, thread_.get_id()) << "it is taken over on the loop's thread";
  EXPECT_NE(reader, loop);
}

TEST_F(KeyedServerTest, RevokedAndExpiredKeysStopWorking) {
  const NewKey ann = make("ann", Scopes::all());
  const NewKey old = make("ann", Scopes::all(), std::chrono::seconds(0));
  start(settings_);
  EXPECT_EQ(call("GET", "/v1/models", {}, bearer(ann)).status, 200);
  const Answer expired = call("GET", "/v1/models", {}, bearer(old));
  EXPECT_EQ(expired.status, 401);
  EXPECT_THAT(expired.body, HasSubstr("expired"));
  ASSERT_TRUE(revoke_key(settings_.keys_file, ann.record.id).has_value());
  EXPECT_EQ(call("GET", "/v1/models", {}, bearer(ann)).status, 401);
}

TEST_F(KeyedServerTest, WithoutKeysItServesThisMachineOnly) {
  EngineOptions options;
  options.runner_factory = [](const RunnerRequest&) { return std::make_shared<MadeUpRunner>(); };
  Engine engine(make_catalog(), std::move(options));
  Dispatcher dispatcher(
      [](const auto&, const auto&, const auto&) { return Engine::Outcome(ExecutionResult{}); });
  Gateway gateway;
  gateway.engine = &engine;
  gateway.dispatcher = &dispatcher;
  ServerSettings open;
  open.listen = ListenAddress{"0.0.0.0", 0};
  const auto refused = Server::create({.settings = open}, gateway, log_);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::FailedPrecondition);
  EXPECT_THAT(refused.error().message(), HasSubstr("symbiont key new"));
  open.keys_file = settings_.keys_file;
  EXPECT_FALSE(Server::create({.settings = open}, gateway, log_).has_value());
  (void)make("ann", Scopes::all());
  EXPECT_TRUE(Server::create({.settings = open}, gateway, log_).has_value());
}

TEST_F(KeyedServerTest, AUnixSocketKnowsItsCaller) {
  settings_.keys_file.clear();
  settings_.unix_socket = folder_ / "api.sock";
  start(settings_);
  EXPECT_EQ(server_->urls(), std::vector<std::string>{"unix:" + settings_.unix_socket.string()});
  TestClient client(settings_.unix_socket.string());
  client.send(request("GET", "/v1/models", {}, "Connection: close\r\n"));
  const Answer answer = split(client.receive());
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr("\"own\""));
  EXPECT_THAT(answer.body, Not(HasSubstr("\"open\"")));
  TestClient admin(settings_.unix_socket.string());
  admin.send(request("GET", "/admin/executions", {}, "Connection: close\r\n"));
  EXPECT_EQ(split(admin.receive()).status, 200);
  stop();
  EXPECT_FALSE(std::filesystem::exists(settings_.unix_socket));
}

}  // namespace
}  // namespace symbiont::api
