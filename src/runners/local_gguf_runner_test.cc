#include "symbiont/local_gguf_runner.h"

#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runners/fake_worker.h"
#include "runners/local_gguf_runner_impl.h"

namespace symbiont {
namespace {

using namespace std::chrono_literals;
using testing::answering;
using testing::FakeLauncher;
using testing::FakeScript;
using testing::FakeWorker;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class LocalGgufRunnerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "symbiont-runner-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    model_ = directory_ / "m.gguf";
    // magic, version 3, no tensors, no keys
    std::ofstream(model_) << std::string("GGUF\3\0\0\0", 8) << std::string(16, '\0');
  }
  void TearDown() override { fs::remove_all(directory_); }

  auto try_make(const FakeScript& script,
                LocalGgufOptions options = {},
                SandboxProfile profile = {}) {
    launcher_ = std::make_shared<FakeLauncher>(script);
    return make_local_gguf_runner(
        {.launcher = launcher_, .worker_program = "/bin/false", .cancel_grace = 50ms}, model_,
        profile, {}, std::move(options));
  }
  std::unique_ptr<LocalGgufRunner> make(const FakeScript& script, LocalGgufOptions options = {}) {
    auto runner = try_make(script, std::move(options));
    EXPECT_TRUE(runner.has_value()) << runner.error().message();
    return runner.has_value() ? *std::move(runner) : nullptr;
  }

  fs::path directory_;
  fs::path model_;
  std::shared_ptr<FakeLauncher> launcher_;
};

std::string kind_of(const SlmRunner::Outcome& outcome) {
  return outcome.has_value() ? "success" : std::string(outcome.error().kind());
}

/// start_up, then `act` for each request.
FakeScript serving(std::function<Verdict(FakeWorker&, const ipc::ExecuteRequest&)> act) {
  return [act = std::move(act)](FakeWorker& worker) {
    (void)worker.start_up();
    const auto request = worker.next_execute();
    return request.has_value() ? act(worker, *request) : Verdict{.kind = VerdictKind::Exited};
  };
}

TEST_F(LocalGgufRunnerTest, StreamsAndFillsTheMetadata) {
  float progress = 0;
  auto runner =
      make(answering({"Par", "is"}),
           {.model_id = "m", .agent = "a", .on_load_progress = [&](float f) { progress = f; }});
  std::string streamed;
  const auto result = runner->execute(
      "Capital?", {}, [&](std::string_view text) { return streamed += text, true; }, {});
  ASSERT_TRUE(result.has_value()) << result.error().message();
  EXPECT_EQ(result->response, "Paris");
  EXPECT_EQ(streamed, "Paris");
  EXPECT_EQ(progress, 0.5F);
  const ExecutionMetadata& metadata = result->metadata;
  EXPECT_EQ(metadata.execution_id.size(), 37U);
  EXPECT_EQ(metadata.model_id, "m");
  EXPECT_EQ(metadata.agent, "a");
  EXPECT_EQ(metadata.profile, "secure");
  EXPECT_EQ(metadata.finish_reason, "stop");
  EXPECT_EQ(metadata.usage, (TokenUsage{7, 2, 2}));
  EXPECT_GT(metadata.timing.load_ms, 0);
  EXPECT_GT(metadata.timing.first_token_ms, 0);
  EXPECT_GE(metadata.timing.total_ms, metadata.timing.first_token_ms);
  EXPECT_EQ(metadata.resources.peak_memory_bytes, 1000U);
  EXPECT_EQ(metadata.resources.memory_limit_bytes, std::uint64_t{512} << 20U);
  EXPECT_EQ(metadata.verdict.kind, VerdictKind::Running);
  EXPECT_TRUE(metadata.controls.contains("memory"));
  EXPECT_EQ(runner->worker_pid(), 1);
  EXPECT_EQ(runner->get_info().version, "fake 1");

  const auto again = runner->execute("And again?");
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(launcher_->spawned(), 1);  // warm
  EXPECT_NE(again->metadata.execution_id, metadata.execution_id);
}

TEST_F(LocalGgufRunnerTest, RefusesBadFiles) {
  const auto kind_for = [&](const fs::path& path) {
    model_ = path;
    const auto runner = try_make(answering({}));
    return runner.has_value() ? "made" : std::string(runner.error().kind());
  };
  EXPECT_EQ(kind_for(directory_ / "absent.gguf"), "ModelFileNotFound");
  EXPECT_EQ(kind_for(directory_), "ModelInvalid");
  std::ofstream(directory_ / "empty.gguf").flush();
  EXPECT_EQ(kind_for(directory_ / "empty.gguf"), "ModelInvalid");
  std::ofstream(directory_ / "text.gguf") << "this is no model";
  EXPECT_EQ(kind_for(directory_ / "text.gguf"), "ModelInvalid");
}

TEST_F(LocalGgufRunnerTest, PinnedDigest) {
  auto wrong = make(answering({"x"}), {.sha256 = std::string(64, 'a')});
  const auto refused = wrong->execute("p");
  ASSERT_EQ(kind_of(refused), "ModelInvalid");
  EXPECT_THAT(refused.error().message(), HasSubstr(std::string(64, 'a')));
  EXPECT_THAT(refused.error().message(), HasSubstr("SHA-256 is "));
  // The message names the digest that was found: pinning that one works.
  const std::string message = refused.error().message();
  const std::string found = message.substr(message.find("SHA-256 is ") + 11, 64);
  auto right = make(answering({"x"}), {.sha256 = found});
  const auto accepted = right->execute("p");
  ASSERT_TRUE(accepted.has_value()) << accepted.error().message();
  EXPECT_EQ(accepted->metadata.model_sha256, found);
  EXPECT_EQ(kind_of(std::unexpected(try_make(answering({}), {.sha256 = "xyz"}).error())),
            "InvalidInput");
}

TEST_F(LocalGgufRunnerTest, CancelByStopTokenKeepsTheText) {
  std::stop_source source;
  auto runner = make(serving([&](FakeWorker& worker, const ipc::ExecuteRequest& request) {
    worker.token(request.id, "partial");
    source.request_stop();
    worker.wait_for_cancel();
    worker.done(request.id, ipc::fb::Finish::Cancelled, 1);
    worker.wait_for_cancel();  // until the end
    return Verdict{.kind = VerdictKind::Exited};
  }));
  const auto outcome = runner->execute("p", {}, nullptr, source.get_token());
  ASSERT_EQ(kind_of(outcome), "Cancelled");
  EXPECT_EQ(outcome.error().metadata().finish_reason, "cancelled");
  EXPECT_NE(runner->worker_pid(), 0);  // still warm
}

TEST_F(LocalGgufRunnerTest, SaysWhichStopStringEndedIt) {
  auto runner = make(serving([](FakeWorker& worker, const ipc::ExecuteRequest& request) {
    worker.done(request.id, ipc::fb::Finish::Stop, 1, 1);
    worker.wait_for_cancel();
    return Verdict{.kind = VerdictKind::Exited};
  }));
  ExecutionOptions options;
  options.stop = {"one", "two"};
  const auto outcome = runner->execute("p", options);
  ASSERT_TRUE(outcome.has_value()) << outcome.error().message();
  EXPECT_EQ(outcome->stop, "two");
}

TEST_F(LocalGgufRunnerTest, SinkCancels) {
  auto runner = make(serving([](FakeWorker& worker, const ipc::ExecuteRequest& request) {
    worker.token(request.id, "one");
    worker.wait_for_cancel();
    worker.done(request.id, ipc::fb::Finish::Cancelled, 1);
    worker.wait_for_cancel();
    return Verdict{.kind = VerdictKind::Exited};
  }));
  const auto outcome = runner->execute("p", {}, [](std::string_view) { return false; }, {});
  ASSERT_EQ(kind_of(outcome), "Cancelled");
  EXPECT_EQ(outcome.error().partial_response(), "one");
}

TEST_F(LocalGgufRunnerTest, DeadlineAgainstADeafWorker) {
  auto runner = make(serving([](FakeWorker& worker, const ipc::ExecuteRequest& request) {
    worker.token(request.id, "slow");
    while (worker.wait_for_cancel()) {  // hears it and does nothing
    }
    return Verdict{.kind = VerdictKind::Exited};
  }));
  ExecutionOptions options;
  options.timeout = 200ms;
  const auto outcome = runner->execute("p", options);
  ASSERT_EQ(kind_of(outcome), "ExecutionTimeout");
  EXPECT_EQ(outcome.error().get_if<runner_error::ExecutionTimeout>()->limit, 200ms);
  EXPECT_EQ(outcome.error().partial_response(), "slow");
  EXPECT_EQ(outcome.error().metadata().verdict.kind, VerdictKind::TimeLimit);
  EXPECT_EQ(outcome.error().metadata().finish_reason, "timeout");
  EXPECT_EQ(runner->worker_pid(), 0);
}

TEST_F(LocalGgufRunnerTest, WorkersOwnDeadlineKeepsItWarm) {
  auto runner = make(serving([](FakeWorker& worker, const ipc::ExecuteRequest& request) {
    worker.done(request.id, ipc::fb::Finish::Deadline, 0);
    worker.wait_for_cancel();
    return Verdict{.kind = VerdictKind::Exited};
  }));
  EXPECT_EQ(kind_of(runner->execute("p")), "ExecutionTimeout");
  EXPECT_NE(runner->worker_pid(), 0);
}

TEST_F(LocalGgufRunnerTest, DeathMidAnswerThenRestart) {
  std::atomic<int> starts = 0;
  auto runner = make([&](FakeWorker& worker) {
    if (starts++ > 0) return answering({"fine"})(worker);
    (void)worker.start_up();
    const auto request = worker.next_execute();
    if (request.has_value()) worker.token(request->id, "half");
    return Verdict{.kind = VerdictKind::Signaled, .signal = 9};
  });
  const auto lost = runner->execute("p");
  ASSERT_EQ(kind_of(lost), "ExecutionFailed");
  EXPECT_EQ(lost.error().partial_response(), "half");
  EXPECT_EQ(lost.error().metadata().verdict.kind, VerdictKind::Signaled);
  EXPECT_EQ(lost.error().metadata().verdict.signal, 9);
  const auto next = runner->execute("p");
  ASSERT_TRUE(next.has_value()) << next.error().message();
  EXPECT_EQ(next->response, "fine");
}

TEST_F(LocalGgufRunnerTest, KilledWhileIdleRestartsUnnoticed) {
  auto runner = make(answering({"x"}));
  ASSERT_TRUE(runner->execute("p").has_value());
  launcher_->kill_last();
  EXPECT_TRUE(runner->execute("p").has_value());
  EXPECT_EQ(launcher_->spawned(), 2);
}

TEST_F(LocalGgufRunnerTest, VerdictsBecomeErrors) {
  const auto outcome_of = [&](const Verdict& verdict) {
    auto runner =
        make(serving([verdict](FakeWorker&, const ipc::ExecuteRequest&) { return verdict; }));
    return runner->execute("p");
  };
  const auto memory =
      outcome_of({.kind = VerdictKind::MemoryLimit, .limit_bytes = 64, .peak_bytes = 63});
  ASSERT_EQ(kind_of(memory), "ResourceLimitExceeded");
  EXPECT_EQ(memory.error().get_if<runner_error::ResourceLimitExceeded>()->peak, 63U);
  EXPECT_EQ(kind_of(outcome_of({.kind = VerdictKind::SyscallDenied})), "SandboxViolation");
  EXPECT_EQ(kind_of(outcome_of({.kind = VerdictKind::ProcessLimit})), "ResourceLimitExceeded");
  EXPECT_EQ(kind_of(outcome_of({.kind = VerdictKind::Exited, .exit_code = 3})), "ExecutionFailed");
}

TEST_F(LocalGgufRunnerTest, LoadFailures) {
  const auto outcome_of = [&](const FakeScript& script) { return make(script)->execute("p"); };
  const auto crash = outcome_of([](FakeWorker& worker) {
    worker.locked();
    (void)worker.channel().receive(std::nullopt, true);
    return Verdict{.kind = VerdictKind::Signaled, .signal = 6};
  });
  ASSERT_EQ(kind_of(crash), "ModelInvalid");
  EXPECT_THAT(crash.error().message(), HasSubstr("crashed while loading"));
  EXPECT_EQ(crash.error().metadata().verdict.signal, 6);
  const auto report = [](ipc::fb::FailureKind kind) {
    return [kind](FakeWorker& worker) {
      worker.locked();
      (void)worker.channel().receive(std::nullopt, true);
      worker.failed({.id = 0, .kind = kind, .message = "why", .needed = 0, .limit = 0});
      return Verdict{.kind = VerdictKind::Exited, .exit_code = 1};
    };
  };
  EXPECT_EQ(kind_of(outcome_of(report(ipc::fb::FailureKind::ModelInvalid))), "ModelInvalid");
  EXPECT_EQ(kind_of(outcome_of(report(ipc::fb::FailureKind::OutOfMemory))),
            "ResourceLimitExceeded");
  EXPECT_EQ(kind_of(outcome_of([](FakeWorker&) {
              return Verdict{
                  .kind = VerdictKind::SetupFailed, .step = "pivot_root", .sys_errno = 1};
            })),
            "InitializationFailed");
}

TEST_F(LocalGgufRunnerTest, NoModelWithoutProof) {
  std::atomic<bool> got_model = false;
  auto runner = make([&](FakeWorker& worker) {
    worker.locked();
    got_model = worker.channel().receive(std::nullopt, true).has_value();
    return Verdict{.kind = VerdictKind::Exited};
  });
  launcher_->proof = fail(ErrorCode::FailedPrecondition, "Seccomp is 0");
  const auto outcome = runner->execute("p");
  ASSERT_EQ(kind_of(outcome), "InitializationFailed");
  EXPECT_THAT(outcome.error().message(), HasSubstr("Seccomp is 0"));
  runner.reset();
  EXPECT_FALSE(got_model);
}

TEST_F(LocalGgufRunnerTest, AWorkerThatStartsForeverAtItsMemoryLimitWasGivenTooLittle) {
  const FakeScript never_locks = [](FakeWorker& worker) {
    (void)worker.channel().receive(std::nullopt);
    return Verdict{.kind = VerdictKind::Exited};
  };
  ExecutionOptions impatient;
  impatient.timeout = 50ms;
  const std::uint64_t limit = SandboxProfile{}.resources.max_memory_mb << 20U;
  for (const bool at_limit : {true, false}) {
    auto runner = make(never_locks);
    launcher_->peak_memory_bytes = at_limit ? limit : limit / 2;
    const auto outcome = runner->execute("p", impatient);
    EXPECT_EQ(kind_of(outcome), at_limit ? "ResourceLimitExceeded" : "ExecutionTimeout");
    EXPECT_EQ(outcome.error().metadata().verdict.kind,
              at_limit ? VerdictKind::MemoryLimit : VerdictKind::Killed);
  }
}

TEST_F(LocalGgufRunnerTest, MissingControlIsRefused) {
  auto runner = make(answering({}));
  launcher_->spawn_error = Error(ErrorCode::FailedPrecondition, "memory: no cgroup");
  launcher_->control_report = {{"memory", {ControlState::Unavailable, "no cgroup", ""}},
                               {"cpu", {ControlState::Enforced, "affinity", ""}},
                               {"landlock", {ControlState::Degraded, "a second line", ""}}};
  const auto result = runner->execute("p");
  EXPECT_EQ(kind_of(result), "ControlUnavailable");
  const auto* missing = result.error().get_if<runner_error::ControlUnavailable>();
  ASSERT_NE(missing, nullptr);
  EXPECT_EQ(missing->controls, std::vector<std::string>{"memory"});
}

TEST_F(LocalGgufRunnerTest, ProtocolBreachesKill) {
  using Act = std::function<void(FakeWorker&, std::uint64_t id)>;
  const std::vector<Act> breaches = {
      [](FakeWorker& w, std::uint64_t id) { w.token(id + 1, "x"); },
      [](FakeWorker& w, std::uint64_t id) { w.token(id, "\xFF"); },
      [](FakeWorker& w, std::uint64_t) { w.ready(); },
      [](FakeWorker& w, std::uint64_t) { w.progress(2.0F); },
      [](FakeWorker& w, std::uint64_t id) { w.done(id, ipc::fb::Finish::Cancelled, 0); },
      [](FakeWorker& w, std::uint64_t id) { w.done(id, ipc::fb::Finish::Stop, 999'999); },
      [](FakeWorker& w, std::uint64_t id) { w.done(id + 7, ipc::fb::Finish::Stop, 0); },
      [](FakeWorker& w, std::uint64_t id) { w.done(id, ipc::fb::Finish::Stop, 0, -2); },
      [](FakeWorker& w, std::uint64_t id) { w.done(id, ipc::fb::Finish::Stop, 0, 2); },
      [](FakeWorker& w, std::uint64_t id) { w.done(id, ipc::fb::Finish::Length, 0, 0); },
      [](FakeWorker& w, std::uint64_t) {
        EXPECT_EQ(::write(w.channel().fd(), "\xFF\xFF\xFF\xFFgarbage", 11), 11);
      },
      [](FakeWorker& w, std::uint64_t id) {
        for (int i = 0; i < 400; ++i)
          w.token(id, "");
      },
  };
  for (std::size_t i = 0; i < breaches.size(); ++i) {
    auto runner = make(serving([&](FakeWorker& worker, const ipc::ExecuteRequest& request) {
      breaches[i](worker, request.id);
      worker.wait_for_cancel();
      return Verdict{.kind = VerdictKind::Exited};
    }));
    ExecutionOptions options;
    options.stop = {"one", "two"};
    EXPECT_EQ(kind_of(runner->execute("p", options)), "SandboxViolation") << "breach " << i;
    EXPECT_EQ(runner->worker_pid(), 0);
  }
}

TEST_F(LocalGgufRunnerTest, APieceHasTheProbabilitiesOfItsTokens) {
  const std::vector<ipc::Candidate> a = {{"a", -1.0F}};
  const std::vector<ipc::Candidate> b = {{"b", -2.0F}};
  auto runner = make(serving([&](FakeWorker& worker, const ipc::ExecuteRequest& request) {
    worker.token(request.id, "", a);  // held back: shown with the next one
    worker.token(request.id, "ab", b);
    worker.done(request.id, ipc::fb::Finish::Stop, 2);
    worker.wait_for_cancel();
    return Verdict{.kind = VerdictKind::Exited};
  }));
  ExecutionOptions options;
  options.top_logprobs = 0;
  std::vector<std::string> pieces;
  const auto note = [&](const TextPiece& piece) {
    pieces.emplace_back(piece.text);
    for (const TokenLogprobs& token : piece.logprobs)
      pieces.push_back(token.chosen.token);
    return true;
  };
  const auto outcome = runner->execute("p", options, note, {});
  ASSERT_TRUE(outcome.has_value()) << outcome.error().message();
  EXPECT_EQ(pieces, (std::vector<std::string>{"ab", "a", "b"}));
  EXPECT_EQ(outcome->logprobs.size(), 2U);
}

ExecutionOptions embedding() {
  ExecutionOptions options;
  options.embed = true;
  return options;
}

TEST_F(LocalGgufRunnerTest, MakesAnEmbeddingOfEachText) {
  const std::vector<std::vector<float>> made = {{1.0F, 0.0F}, {0.0F, 1.0F}};
  auto runner = make(serving([&](FakeWorker& worker, const ipc::ExecuteRequest& request) {
                       EXPECT_TRUE(request.embed);
                       worker.embedding(request.id, 0, made[0]);
                       worker.embedding(request.id, 1, made[1]);
                       worker.done(request.id, ipc::fb::Finish::Stop, 0);
                       worker.wait_for_cancel();
                       return Verdict{.kind = VerdictKind::Exited};
                     }),
                     {.embeddings = true});
  const std::vector<ChatMessage> texts = {{"user", "a"}, {"user", "b"}};
  const auto outcome = runner->execute_chat(texts, embedding(), nullptr, {});
  ASSERT_TRUE(outcome.has_value()) << outcome.error().message();
  EXPECT_EQ(outcome->embeddings, made);
  EXPECT_EQ(outcome->metadata.usage.prompt_tokens, 7U);
}

TEST_F(LocalGgufRunnerTest, AnAnswerOfTooManyNumbersIsRefusedBeforeItIsMade) {
  auto runner = make(
      [](FakeWorker& worker) {
        (void)worker.start_up(ipc::kMaxEmbeddingValues);
        EXPECT_FALSE(worker.next_execute().has_value()) << "it was asked for all the same";
        return Verdict{.kind = VerdictKind::Exited};
      },
      {.embeddings = true});
  const std::vector<ChatMessage> texts(17, {"user", "a"});  // 16 times 2^16 is the most
  const auto outcome = runner->execute_chat(texts, embedding(), nullptr, {});
  EXPECT_EQ(kind_of(outcome), "InvalidInput");
}

TEST_F(LocalGgufRunnerTest, OtherEmbeddingsThanWereAskedForAreABreach) {
  using Act = std::function<void(FakeWorker&, std::uint64_t id)>;
  const std::vector<float> right = {1.0F, 0.0F};
  const std::vector<float> large = {1.0F, 0.0F, 0.0F};
  const std::vector<float> absurd = {1.0F, std::numeric_limits<float>::quiet_NaN()};
  const std::vector<Act> breaches = {
      [&](FakeWorker& w, std::uint64_t id) { w.embedding(id, 1, right); },
      [&](FakeWorker& w, std::uint64_t id) { w.embedding(id, 0, large); },
      [&](FakeWorker& w, std::uint64_t id) { w.embedding(id, 0, {}); },
      [&](FakeWorker& w, std::uint64_t id) { w.embedding(id, 0, absurd); },
      [&](FakeWorker& w, std::uint64_t id) { w.embedding(id + 1, 0, right); },
      [&](FakeWorker& w, std::uint64_t id) { w.token(id, "x"); },
      [&](FakeWorker& w, std::uint64_t id) { w.done(id, ipc::fb::Finish::Stop, 0); },
      [&](FakeWorker& w, std::uint64_t id) { w.done(id, ipc::fb::Finish::Length, 0); },
      [&](FakeWorker& w, std::uint64_t id) {
        w.embedding(id, 0, right);
        w.embedding(id, 1, right);
      },
      [&](FakeWorker& w, std::uint64_t id) {
        w.embedding(id, 0, right);
        w.done(id, ipc::fb::Finish::Stop, 1);
      },
  };
  for (std::size_t i = 0; i < breaches.size(); ++i) {
    auto runner = make(serving([&](FakeWorker& worker, const ipc::ExecuteRequest& request) {
                         breaches[i](worker, request.id);
                         worker.wait_for_cancel();
                         return Verdict{.kind = VerdictKind::Exited};
                       }),
                       {.embeddings = true});
    EXPECT_EQ(kind_of(runner->execute("p", embedding())), "SandboxViolation") << "breach " << i;
  }
  auto runner = make(serving([&](FakeWorker& worker, const ipc::ExecuteRequest& request) {
    worker.embedding(request.id, 0, right);
    worker.wait_for_cancel();
    return Verdict{.kind = VerdictKind::Exited};
  }));
  EXPECT_EQ(kind_of(runner->execute("p")), "SandboxViolation") << "nobody asked for one";
  EXPECT_EQ(kind_of(runner->execute("p", embedding())), "InvalidInput") << "not told to make any";
}

TEST_F(LocalGgufRunnerTest, TextsForEmbeddingsAreBounded) {
  auto runner = make(answering({}), {.embeddings = true});
  const auto field_of = [&](const std::vector<ChatMessage>& texts) {
    const auto outcome = runner->execute_chat(texts, embedding(), nullptr, {});
    const auto* invalid = outcome.error().get_if<runner_error::InvalidInput>();
    return invalid == nullptr ? std::string(outcome.error().kind()) : invalid->field;
  };
  EXPECT_EQ(field_of({}), "input");
  EXPECT_EQ(field_of(std::vector<ChatMessage>(257, {"user", "x"})), "input");
  EXPECT_EQ(field_of({{"user", "x"}, {"user", ""}}), "input[1]");
  EXPECT_EQ(field_of(std::vector<ChatMessage>(2, {"user", std::string(600'000, 'x')})), "input");
}

TEST_F(LocalGgufRunnerTest, ARefusedSchemaIsTheCallersMistake) {
  auto runner = make(serving([](FakeWorker& worker, const ipc::ExecuteRequest& request) {
    worker.failed({.id = request.id,
                   .kind = ipc::fb::FailureKind::SchemaRefused,
                   .message = "no such type",
                   .needed = 0,
                   .limit = 0});
    worker.wait_for_cancel();
    return Verdict{.kind = VerdictKind::Exited};
  }));
  const auto outcome = runner->execute("p");
  ASSERT_EQ(kind_of(outcome), "InvalidInput");
  EXPECT_EQ(outcome.error().get_if<runner_error::InvalidInput>()->field, "json_schema");
}

TEST_F(LocalGgufRunnerTest, MoreProbabilitiesThanWereAskedForAreABreach) {
  const std::vector<ipc::Candidate> two = {{"a", -1.0F}, {"b", -2.0F}};
  for (const std::optional<std::uint32_t> asked : {std::optional<std::uint32_t>(), {0U}, {1U}}) {
    auto runner = make(serving([&](FakeWorker& worker, const ipc::ExecuteRequest& request) {
      worker.token(request.id, "x", two);
      worker.done(request.id, ipc::fb::Finish::Stop, 1);
      return Verdict{.kind = VerdictKind::Exited};
    }));
    ExecutionOptions options;
    options.top_logprobs = asked;
    const auto outcome = runner->execute("p", options);
    EXPECT_EQ(outcome.has_value(), asked == 1U);
    if (outcome.has_value()) {
      EXPECT_EQ(outcome->logprobs.front().top.front().token, "b");
    } else {
      EXPECT_EQ(kind_of(outcome), "SandboxViolation");
    }
  }
}

TEST_F(LocalGgufRunnerTest, ContextOverflowHasTheCounts) {
  auto runner = make(serving([](FakeWorker& worker, const ipc::ExecuteRequest& request) {
    worker.failed({.id = request.id,
                   .kind = ipc::fb::FailureKind::ContextOverflow,
                   .message = "",
                   .needed = 9000,
                   .limit = 4096});
    worker.wait_for_cancel();
    return Verdict{.kind = VerdictKind::Exited};
  }));
  const auto outcome = runner->execute("p");
  ASSERT_EQ(kind_of(outcome), "InvalidInput");
  EXPECT_THAT(outcome.error().message(), HasSubstr("9000"));
  EXPECT_THAT(outcome.error().message(), HasSubstr("4096"));
  EXPECT_NE(runner->worker_pid(), 0);
}

TEST_F(LocalGgufRunnerTest, WaitingHasItsOwnDeadline) {
  std::stop_source source;
  auto runner = make(serving([](FakeWorker& worker, const ipc::ExecuteRequest& request) {
                       worker.token(request.id, "busy");
                       worker.wait_for_cancel();
                       worker.done(request.id, ipc::fb::Finish::Cancelled, 1);
                       return Verdict{.kind = VerdictKind::Exited};
                     }),
                     {.max_parallel = 1});
  std::atomic<bool> busy = false;
  std::jthread first([&] {
    (void)runner->execute(
        "p", {}, [&](std::string_view) { return busy = true, true; }, source.get_token());
  });
  while (!busy)
    std::this_thread::sleep_for(1ms);
  ExecutionOptions options;
  options.timeout = 50ms;
  const auto outcome = runner->execute("p", options);
  EXPECT_EQ(kind_of(outcome), "ExecutionTimeout");
  EXPECT_GE(outcome.error().metadata().timing.queue_ms, 50);
  source.request_stop();
}

TEST_F(LocalGgufRunnerTest, ExecutionsOfOneWorkerDoNotMix) {
  // Two requests are in before either is answered, and the answers interleave.
  auto runner = make([](FakeWorker& worker) {
    (void)worker.start_up();
    const auto first = worker.next_execute();
    const auto second = worker.next_execute();
    if (!first || !second) return Verdict{};
    for (int i = 0; i < 3; ++i) {
      worker.token(first->id, first->messages.front().content);
      worker.token(second->id, second->messages.front().content);
    }
    worker.done(second->id, ipc::fb::Finish::Stop, 3);
    worker.done(first->id, ipc::fb::Finish::Length, 3);
    (void)worker.next_execute();
    return Verdict{.kind = VerdictKind::Exited};
  });
  SlmRunner::Outcome a;
  std::jthread other([&] { a = runner->execute("a"); });
  const auto b = runner->execute("b");
  other.join();
  ASSERT_TRUE(a.has_value() && b.has_value());
  EXPECT_EQ(a->response, "aaa");
  EXPECT_EQ(b->response, "bbb");
  EXPECT_NE(a->metadata.finish_reason, b->metadata.finish_reason);
  EXPECT_EQ(launcher_->spawned(), 1);
}

TEST_F(LocalGgufRunnerTest, OneThatDoesNotStopCostsTheOthersTheirWorkerAndSaysSo) {
  auto runner = make([](FakeWorker& worker) {
    (void)worker.start_up();
    (void)worker.next_execute();
    (void)worker.next_execute();
    while (worker.next_execute())
      ;  // never answers, and ignores every Cancel
    return Verdict{.kind = VerdictKind::Exited};
  });
  SlmRunner::Outcome patient;
  std::jthread other([&] { patient = runner->execute("a"); });
  ExecutionOptions options;
  options.timeout = 100ms;
  const auto hasty = runner->execute("b", options);
  other.join();
  EXPECT_EQ(kind_of(hasty), "ExecutionTimeout");
  EXPECT_EQ(kind_of(patient), "ExecutionFailed");
  EXPECT_NE(patient.error().message().find("another execution"), std::string::npos);
}

TEST_F(LocalGgufRunnerTest, TwentyThreadsAndOneDeath) {
  constexpr int kThreads = 20;
  std::atomic<int> starts = 0;
  // One at a time, so that the death costs exactly one.
  auto runner = make(
      [&](FakeWorker& worker) {
        if (starts++ > 0) return answering({"ok"})(worker);
        (void)worker.start_up();
        for (int served = 0; served < 5; ++served) {
          const auto request = worker.next_execute();
          if (!request.has_value()) break;
          worker.token(request->id, "ok");
          if (served < 4) worker.done(request->id, ipc::fb::Finish::Stop, 1);
        }
        return Verdict{.kind = VerdictKind::Signaled, .signal = 9};
      },
      {.max_parallel = 1});
  std::atomic<int> succeeded = 0;
  std::atomic<int> failed = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        const auto outcome = runner->execute("p");
        if (outcome.has_value() && outcome->response == "ok") ++succeeded;
        if (kind_of(outcome) == "ExecutionFailed") ++failed;
      });
    }
  }
  EXPECT_EQ(succeeded, kThreads - 1);
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(launcher_->spawned(), 2);
}

}  // namespace
}  // namespace symbiont
