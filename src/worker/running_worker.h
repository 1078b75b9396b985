#ifndef SYMBIONT_WORKER_RUNNING_WORKER_H_
#define SYMBIONT_WORKER_RUNNING_WORKER_H_

// For tests: the whole worker without its locks, in a child process, with a real model:
// SYMBIONT_TEST_MODEL.

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/file.h"
#include "ipc/channel.h"
#include "ipc/messages.h"
#include "worker/worker.h"

namespace symbiont::worker {

struct Answer {
  std::string text{};
  std::vector<std::vector<float>> embeddings{};
  std::optional<ipc::DoneReport> done{};
  std::optional<ipc::FailureReport> failure{};
};

class RunningWorker {
 public:
  RunningWorker() {
    std::array<int, 2> fds{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(fds[0]);
      const Locks none{.before_load = [] { return Status(); },
                       .before_inference = [] { return Status(); }};
      ::_exit(run_worker(UniqueFd(fds[1]), none));
    }
    ::close(fds[1]);
    channel_.emplace(UniqueFd(fds[0]));
    const auto* locked = next();
    EXPECT_TRUE(locked != nullptr && locked->body_as_Locked() != nullptr);
  }
  RunningWorker(const RunningWorker&) = delete;
  RunningWorker& operator=(const RunningWorker&) = delete;
  ~RunningWorker() { (void)wait(); }

  /// Loads and answers how that ended: Ready's or Failed's content.
  Answer load(UniqueFd model,
              std::uint32_t context = 512,
              std::uint16_t threads = 1,
              std::uint16_t sequences = 1,
              std::uint64_t memory = 0,
              bool embeddings = false) {
    ipc::Builder builder;
    ipc::encode_load(builder, {.context_tokens = context,
                               .threads = threads,
                               .max_sequences = sequences,
                               .memory_bytes = memory,
                               .embeddings = embeddings});
    post(builder, model.get());
    while (const auto* frame = next()) {
      if (const auto* ready = frame->body_as_Ready()) {
        ready_ = ipc::read_ready(*ready);
        return {};
      }
      if (const auto* failed = frame->body_as_Failed()) {
        return {.failure = ipc::read_failed(*failed)};
      }
    }
    return {.failure = ipc::FailureReport{.message = "the channel ended"}};
  }

  void send(const ipc::ExecuteRequest& request) {
    ipc::Builder builder;
    ipc::encode_execute(builder, request);
    post(builder);
  }
  void cancel(std::uint64_t id) {
    ipc::Builder builder;
    ipc::encode_cancel(builder, id);
    post(builder);
  }
  /// Collects until request `id` ends; `on_token` after each Token.
  template <typename OnToken>
  Answer collect(std::uint64_t id, OnToken on_token) {
    Answer answer;
    while (const auto* frame = next()) {
      if (const auto* token = frame->body_as_Token()) {
        EXPECT_EQ(token->id(), id);
        answer.text += ipc::read_token_text(*token);
        on_token();
      }
      if (const auto* embedding = frame->body_as_Embedding()) take(*embedding, answer);
      if (const auto* done = frame->body_as_Done(); done != nullptr && done->id() == id) {
        answer.done = ipc::read_done(*done);
        return answer;
      }
      if (const auto* failed = frame->body_as_Failed(); failed != nullptr && failed->id() == id) {
        answer.failure = ipc::read_failed(*failed);
        return answer;
      }
    }
    return answer;
  }
  /// Collects until every request of `ids` has ended.
  std::map<std::uint64_t, Answer> collect_all(const std::set<std::uint64_t>& ids) {
    std::map<std::uint64_t, Answer> answers;
    std::size_t ended = 0;
    while (ended < ids.size()) {
      const auto* frame = next();
      if (frame == nullptr) break;
      if (const auto* token = frame->body_as_Token())
        answers[token->id()].text += ipc::read_token_text(*token);
      if (const auto* embedding = frame->body_as_Embedding())
        take(*embedding, answers[embedding->id()]);
      if (const auto* done = frame->body_as_Done())
        answers[done->id()].done = ipc::read_done(*done), ++ended;
      if (const auto* failed = frame->body_as_Failed())
        answers[failed->id()].failure = ipc::read_failed(*failed), ++ended;
    }
    return answers;
  }
  Answer execute(const ipc::ExecuteRequest& request) {
    send(request);
    return collect(request.id, [] {});
  }

  static void take(const ipc::fb::Embedding& embedding, Answer& answer) {
    EXPECT_EQ(embedding.index(), answer.embeddings.size());
    answer.embeddings.emplace_back(embedding.values()->begin(), embedding.values()->end());
  }

  /// Ends the worker by closing its channel; -1 where a signal ended it.
  int exit_code() {
    const int status = wait();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  const ipc::fb::Frame* next() {
    if (!channel_.has_value()) return nullptr;
    const auto frame =
        channel_->receive(std::chrono::steady_clock::now() + std::chrono::seconds(60));
    if (frame.has_value()) return *frame;
    ADD_FAILURE() << frame.error().message() << "; the worker's wait status is " << wait();
    return nullptr;
  }
  [[nodiscard]] const ipc::ReadyReport& ready() const { return ready_; }
  ipc::Channel& channel() { return *channel_; }
  [[nodiscard]] std::uint64_t resident_bytes() const {
    std::ifstream statm("/proc/" + std::to_string(pid_) + "/statm");
    std::uint64_t size = 0;
    std::uint64_t resident = 0;
    statm >> size >> resident;
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }

 private:
  void post(ipc::Builder& builder, int fd = -1) {
    EXPECT_TRUE(channel_.has_value() && channel_->send(builder, fd).has_value());
  }
  int wait() {
    channel_.reset();
    int status = -1;
    if (pid_ > 0) ::waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

  pid_t pid_ = -1;
  std::optional<ipc::Channel> channel_;
  ipc::ReadyReport ready_;
};

class WorkerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* path = std::getenv("SYMBIONT_TEST_MODEL");  // NOLINT(concurrency-mt-unsafe)
    if (path == nullptr || ::access(path, R_OK) != 0) {
      GTEST_SKIP() << "no model: scripts/bootstrap fetches it, or set SYMBIONT_TEST_MODEL";
    }
    path_ = path;
  }
  UniqueFd model() const {
    auto fd = open_regular_file(path_);
    return fd.has_value() ? *std::move(fd) : UniqueFd();
  }
  static ipc::ExecuteRequest ask(std::uint64_t id, std::string content) {
    ipc::ExecuteRequest request;
    request.id = id;
    request.messages = {{.role = "user", .content = std::move(content)}};
    request.max_tokens = 24;
    return request;
  }
  /// With the model's own system message this model answers in French, in bare llama.cpp too.
  static ipc::ExecuteRequest ask_for_paris(std::uint64_t id) {
    ipc::ExecuteRequest request = ask(id, "What is the capital of France?");
    request.messages.insert(request.messages.begin(),
                            {.role = "system", .content = "You are a helpful assistant."});
    return request;
  }
  std::string path_;
};

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_RUNNING_WORKER_H_
