// The server against clients that want too much, too slowly, or do not listen.

#include <gmock/gmock.h>

#include "api/server_for_test.h"

namespace symbiont::api {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class ServerLimitsTest : public ServerFixture {};

TEST_F(ServerLimitsTest, TooLargeIsSaidBeforeItIsReceived) {
  ServerSettings settings;
  settings.limits.max_body_bytes = 2'000;
  start(settings);
  EXPECT_EQ(chat_call(chat("x")).status, 200);
  EXPECT_EQ(chat_call(chat(std::string(3'000, 'x'))).status, 413);
  TestClient client(port_);
  client.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n");
  EXPECT_EQ(split(client.receive()).status, 413);
  TestClient head(port_);
  head.send("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n");
  EXPECT_EQ(split(head.receive()).status, 431);
}

TEST_F(ServerLimitsTest, ARefusedCallerNeedNotSendItsBody) {
  start();
  TestClient client(port_);
  client.send("POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n");
  EXPECT_EQ(split(client.receive()).status, 404);
}

TEST_F(ServerLimitsTest, SlowRequestsAreEnded) {
  ServerSettings settings;
  settings.limits.header_timeout = 1s;
  settings.limits.body_timeout = 1s;
  settings.limits.idle_timeout = 1s;
  start(settings);
  TestClient head(port_);
  head.send("GET / HTTP/1.1\r\nHost: loc");
  TestClient body(port_);
  body.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{");
  TestClient silent(port_);
  TestClient idle(port_);
  idle.send(request("GET", "/healthz"));
  EXPECT_EQ(split(head.receive()).status, 408);
  EXPECT_EQ(split(body.receive()).status, 408);
  EXPECT_EQ(silent.receive(), "");
  EXPECT_EQ(split(idle.receive()).status, 200);  // and then the end of the connection
}

TEST_F(ServerLimitsTest, ADripOfBytesDoesNotHelp) {
  ServerSettings settings;
  settings.limits.header_timeout = 1s;
  start(settings);
  TestClient client(port_);
  client.send("GET / HTTP/1.1\r\n");
  for (int i = 0; i < 8; ++i) {
    client.send("X-" + std::to_string(i) + ": y\r\n");
    std::this_thread::sleep_for(250ms);
  }
  EXPECT_EQ(split(client.receive()).status, 408);
}

TEST_F(ServerLimitsTest, ConnectionsAreBounded) {
  ServerSettings settings;
  settings.limits.max_connections = 2;
  start(settings);
  TestClient one(port_);
  one.send(request("GET", "/healthz"));
  (void)one.receive("}");
  TestClient two(port_);
  two.send(request("GET", "/healthz"));
  (void)two.receive("}");
  TestClient three(port_);
  EXPECT_EQ(split(three.receive()).status, 503);
  one.close();
  for (int i = 0; i < 200; ++i) {  // until the server has noticed
    if (call("GET", "/healthz").status == 200) return;
    std::this_thread::sleep_for(10ms);
  }
  FAIL() << "the closed connection still counts";
}

TEST_F(ServerLimitsTest, AClientThatDoesNotReadIsCancelled) {
  start();
  TestClient client(port_);
  client.send(request("POST", "/v1/chat/completions", chat("flood", R"(, "stream": true)")));
  for (int i = 0; i < 2'000 && MadeUpRunner::floods_ended == 0; ++i)
    std::this_thread::sleep_for(10ms);
  EXPECT_EQ(MadeUpRunner::floods_ended, 1);
  EXPECT_TRUE(wait_executions(0));
}

TEST_F(ServerLimitsTest, FullQueuesAnswer429) {
  start({},
        {.max_running = 1, .max_running_per_agent = 1, .max_queued = 1, .max_queued_per_agent = 1});
  TestClient running(port_);
  running.send(request("POST", "/v1/chat/completions", chat("block")));
  ASSERT_TRUE(wait_executions(1));
  TestClient queued(port_);
  queued.send(request("POST", "/v1/chat/completions", chat("x")));
  ASSERT_TRUE(wait_executions(2));
  const Answer refused = chat_call(chat("x"));
  EXPECT_EQ(refused.status, 429);
  EXPECT_THAT(refused.head, HasSubstr("Retry-After: "));
  EXPECT_EQ(refused.json()["error"]["type"], "rate_limit_error");
  running.close();
  EXPECT_THAT(queued.receive("\"x\""), HasSubstr("200 OK"));
}

TEST_F(ServerLimitsTest, QuotasAnswer429) {
  ServerSettings settings;
  settings.quotas.requests_per_minute = 1;
  start(settings);
  EXPECT_EQ(chat_call(chat("x")).status, 200);
  EXPECT_EQ(chat_call(chat("x")).status, 429);
  EXPECT_EQ(call("GET", "/healthz").status, 200);
}

TEST_F(ServerLimitsTest, ExecutionsHaveADeadline) {
  ServerSettings settings;
  settings.limits.execution_timeout = 1s;
  start(settings);
  const Answer answer = chat_call(chat("block"));
  EXPECT_EQ(answer.status, 504);
  EXPECT_EQ(answer.json()["error"]["code"], "timeout");
}

TEST_F(ServerLimitsTest, DrainingLetsExecutionsEnd) {
  start({}, {}, 20s);
  TestClient idle(port_);
  idle.send(request("GET", "/healthz"));
  (void)idle.receive("}");
  TestClient client(port_);
  client.send(request("POST", "/v1/chat/completions", chat("block", R"(, "stream": true)")));
  (void)client.receive("waiting");
  server_->stop();
  EXPECT_EQ(idle.receive(), "");
  EXPECT_EQ(dispatcher_->list().size(), 1U);
  EXPECT_TRUE(dispatcher_->cancel(dispatcher_->list().front().id));
  EXPECT_THAT(client.receive(), HasSubstr("[DONE]"));
  thread_.join();
}

TEST_F(ServerLimitsTest, DrainingEnds) {
  start({}, {}, 0s);
  TestClient client(port_);
  client.send(request("POST", "/v1/chat/completions", chat("block")));
  ASSERT_TRUE(wait_executions(1));
  stop();
  EXPECT_TRUE(dispatcher_->list().empty());
}

TEST_F(ServerLimitsTest, HttpOneZeroGetsNoChunks) {
  start();
  TestClient client(port_);
  const std::string body = chat("count 2", R"(, "stream": true)");
  client.send("POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  const Answer answer = split(client.receive());
  EXPECT_EQ(answer.head.find("chunked"), std::string::npos);
  EXPECT_TRUE(answer.body.starts_with("data: "));
  EXPECT_TRUE(answer.body.ends_with("data: [DONE]\n\n"));
}

TEST_F(ServerLimitsTest, ExpectContinueIsHeard) {
  start();
  TestClient client(port_);
  const std::string body = chat("hello");
  client.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
      "Connection: close\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n");
  EXPECT_THAT(client.receive("\r\n\r\n"), HasSubstr("100 Continue"));
  client.send(body);
  EXPECT_EQ(split(client.receive()).status, 200);
}

}  // namespace
}  // namespace symbiont::api
