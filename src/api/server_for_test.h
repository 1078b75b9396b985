#ifndef SYMBIONT_API_SERVER_FOR_TEST_H_
#define SYMBIONT_API_SERVER_FOR_TEST_H_

// A server in this process with a made-up model, and a client that says exactly what it is told.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "api/json.h"
#include "api/server.h"
#include "base/unique_fd.h"

namespace symbiont::api {

/// Runs no model: "count N" answers N numbers, "block" waits until it is cancelled, "flood" writes
/// until it is, "fail" fails, "echo TEXT" and everything else comes back. An embedding's one value
/// is the length of its text.
class MadeUpRunner final : public SlmRunner {
 public:
  [[nodiscard]] Outcome execute_chat(std::span<const ChatMessage> messages,
                                     const ExecutionOptions& options,
                                     const TokenSink& sink,
                                     std::stop_token stop) override {
    const std::string& prompt = messages.back().content;
    ExecutionResult result;
    result.metadata.finish_reason = "stop";
    result.metadata.usage = {.prompt_tokens = 5, .completion_tokens = 0, .cached_tokens = 1};
    const auto say = [&](const std::string& text) {
      ++result.metadata.usage.completion_tokens;
      result.response += text;
      return sink == nullptr || sink(text);
    };
    if (options.embed) {
      result.metadata.usage = {.prompt_tokens = 5, .completion_tokens = 0, .cached_tokens = 0};
      for (const ChatMessage& message : messages)
        result.embeddings.push_back({static_cast<float>(message.content.size())});
      return result;
    }
    if (prompt == "fail") {
      return std::unexpected(SlmRunnerError(runner_error::ExecutionFailed{"/secret/reason"}));
    }
    if (prompt == "block") {
      if (!say("waiting")) return cancelled();
      std::mutex mutex;
      std::condition_variable_any woken;
      std::unique_lock lock(mutex);
      if (!woken.wait_for(lock, stop, options.timeout, [] { return false; }) &&
          !stop.stop_requested()) {
        return std::unexpected(SlmRunnerError(runner_error::ExecutionTimeout{options.timeout}));
      }
      return cancelled();
    }
    if (prompt == "flood") {
      while (!stop.stop_requested() && say(std::string(4096, 'x'))) {
      }
      ++floods_ended;
      return cancelled();
    }
    if (prompt.starts_with("count ")) {
      for (int i = 0; i < std::stoi(prompt.substr(6)); ++i) {
        if (!say(std::to_string(i) + " ")) return cancelled();
      }
      return result;
    }
    if (!say(prompt)) return cancelled();
    return result;
  }
  static inline std::atomic<int> floods_ended = 0;

  [[nodiscard]] const SandboxProfile& get_sandbox_profile() const override { return profile_; }
  [[nodiscard]] const ModelResourceRequirements& get_resource_requirements() const override {
    return requirements_;
  }
  [[nodiscard]] std::expected<void, SlmRunnerError> health_check() override { return {}; }
  [[nodiscard]] RunnerInfo get_info() const override { return {}; }

 private:
  static Outcome cancelled() { return std::unexpected(SlmRunnerError(runner_error::Cancelled{})); }
  SandboxProfile profile_;
  ModelResourceRequirements requirements_;
};

/// One connection, byte for byte.
class TestClient {
 public:
  explicit TestClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  explicit TestClient(const std::string& path)
      : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }

  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  /// Everything until the server closes, or `until` has come.
  std::string receive(std::string_view until = {}) {
    while (until.empty() || received_.find(until) == std::string::npos) {
      pollfd waiting{.fd = fd_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&waiting, 1, 20'000) != 1) return received_ + "<nothing came>";
      char buffer[4096];
      const ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
      if (count <= 0) break;
      received_.append(buffer, static_cast<std::size_t>(count));
    }
    return std::exchange(received_, {});
  }
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
  std::string received_;
};

struct Answer {
  int status = 0;
  std::string head;
  std::string body;
  [[nodiscard]] Json json() const { return Json::parse(body); }
};

inline Answer split(const std::string& text) {
  Answer answer;
  const std::size_t end = text.find("\r\n\r\n");
  answer.head = text.substr(0, end);
  if (end != std::string::npos) answer.body = text.substr(end + 4);
  if (answer.head.starts_with("HTTP/1.1 ")) answer.status = std::stoi(answer.head.substr(9, 3));
  return answer;
}

class ServerFixture : public ::testing::Test {
 protected:
  void TearDown() override { stop(); }

  /// Models "open" (everybody's), "own" (ann's) and, for nobody, "hidden".
  void start(ServerSettings settings = {},
             DispatcherLimits limits = {},
             std::chrono::seconds drain_time = std::chrono::seconds(0)) {
    EngineOptions options;
    options.runner_factory = [](const RunnerRequest&) { return std::make_shared<MadeUpRunner>(); };
    engine_.emplace(make_catalog(), std::move(options));
    dispatcher_.emplace(
        [this](const EngineRequest& request, const TokenSink& sink, const std::stop_token& stop) {
          return engine_->run(request, sink, stop);
        },
        limits,
        [this](const EngineRequest& request, SlmRunnerError error) {
          return engine_->end_unrun(request, std::move(error));
        });
    if (settings.unix_socket.empty()) settings.listen = ListenAddress{"127.0.0.1", 0};
    Gateway gateway;
    gateway.engine = &*engine_;
    gateway.dispatcher = &*dispatcher_;
    gateway.reload = reload_;
    auto server =
        Server::create({.settings = settings, .drain_time = drain_time}, std::move(gateway), log_);
    ASSERT_TRUE(server.has_value()) << server.error().message();
    server_ = *std::move(server);
    port_ = server_->port();
    thread_ = std::thread([this] { EXPECT_TRUE(server_->run()); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    server_->stop();
    thread_.join();
    server_.reset();
  }

  static ModelCatalog make_catalog() {
    Slm slm;
    for (const char* id : {"open", "own", "hidden"}) {
      Model model;
      model.id = id;
      model.name = id;
      model.provider = provider::LocalFile{"/models/x.gguf"};
      model.capabilities = {ModelCapability::TextGeneration};
      if (model.id == "own") model.capabilities.insert(ModelCapability::Embeddings);
      slm.model_allow_lists.global_models.push_back(std::move(model));
    }
    const std::string self = "uid:" + std::to_string(::geteuid());
    slm.model_allow_lists.agent_model_maps = {
        {"default", {"open"}}, {"ann", {"open", "own"}}, {self, {"own"}}};
    auto catalog = ModelCatalog::create(slm);
    EXPECT_TRUE(catalog.has_value());
    return *std::move(catalog);
  }

  static std::string request(std::string_view method,
                             std::string_view path,
                             std::string_view body = {},
                             std::string_view headers = {}) {
    std::string text(method);
    text.append(" ").append(path).append(" HTTP/1.1\r\nHost: localhost\r\n").append(headers);
    if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return text.append("\r\n").append(body);
  }
  static std::string chat(const std::string& prompt,
                          const std::string& more = {},
                          const std::string& model = "open") {
    return R"({"model": ")" + model + R"(", "messages": [{"role": "user", "content": ")" + prompt +
           R"("}])" + more + "}";
  }
  /// One request on a connection of its own.
  Answer call(std::string_view method,
              std::string_view path,
              std::string_view body = {},
              std::string headers = {}) {
    TestClient client(port_);
    headers += "Connection: close\r\n";
    client.send(request(method, path, body, headers));
    return split(client.receive());
  }
  Answer chat_call(const std::string& body, const std::string& headers = {}) {
    return call("POST", "/v1/chat/completions", body, headers);
  }
  /// Waits until this many executions are under way.
  bool wait_executions(std::size_t count) {
    for (int i = 0; i < 2'000; ++i) {
      if (dispatcher_->list().size() == count) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  std::function<Gateway::TakeOver()> reload_;  // set before start()
  observe::EventLog log_{STDERR_FILENO};
  std::optional<Engine> engine_;
  std::optional<Dispatcher> dispatcher_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
  std::uint16_t port_ = 0;
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_SERVER_FOR_TEST_H_
