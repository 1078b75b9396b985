#include <signal.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runners/fake_engine.h"
#include "runners/process_runner_impl.h"
#include "runners/sandbox_host_impl.h"

namespace symbiont {
namespace {

using std::chrono::milliseconds;
using Json = nlohmann::json;

class ProcessRunnerTest : public ::testing::Test {
 protected:
  void use(EngineScript script) {
    (void)::signal(SIGPIPE, SIG_IGN);  // the fake engines are threads of this process
    launcher_ = std::make_shared<FakeEngineLauncher>(std::move(script));
    EngineSpec spec{.host = SandboxHost::create(), .profile = {}, .command = {"/bin/true"}};
    spec.host->impl().launcher = launcher_;
    spec.ready_timeout = ready_timeout_;
    spec.cancel_grace = cancel_grace_;
    auto runner = make_process_runner(std::move(spec), {}, {.model_id = "m"});
    ASSERT_TRUE(runner.has_value()) << runner.error().message();
    runner_ = *std::move(runner);
  }
  /// For errors that say what an engine did.
  std::string failure() {
    const auto outcome = runner_->execute("hello");
    if (outcome.has_value()) return "no failure";
    return std::string(outcome.error().kind()) + ": " + outcome.error().message();
  }
  milliseconds ready_timeout_{30'000};
  milliseconds cancel_grace_{30'000};
  std::shared_ptr<FakeEngineLauncher> launcher_;
  std::unique_ptr<ProcessRunner> runner_;
};

Verdict echo(FakeEngine& engine) {
  engine.ready();
  for (Json request = engine.next("execute"); !request.is_null();
       request = engine.next("execute")) {
    engine.token(request["id"], request["prompt"].get<std::string>());
    engine.done(request["id"], "stop");
  }
  return {.kind = VerdictKind::Exited};
}

/// An engine that says `lines` in answer to an execution.
EngineScript answering(std::vector<std::string> lines) {
  return [lines = std::move(lines)](FakeEngine& engine) {
    engine.ready();
    (void)engine.next("execute");
    for (const std::string& line : lines)
      engine.say(line);
    (void)engine.next("none");
    return Verdict{.kind = VerdictKind::Exited};
  };
}

TEST_F(ProcessRunnerTest, AnswersAndStaysWarm) {
  use(echo);
  for (const char* prompt : {"one", "two"}) {
    std::string streamed;
    const auto outcome = runner_->execute(prompt, {},
                                          [&](std::string_view text) {
                                            streamed += text;
                                            return true;
                                          },
                                          {});
    ASSERT_TRUE(outcome.has_value()) << outcome.error().message();
    EXPECT_EQ(outcome->response, prompt);
    EXPECT_EQ(streamed, prompt);
    EXPECT_EQ(outcome->metadata.finish_reason, "stop");
    EXPECT_EQ(outcome->metadata.usage, (TokenUsage{2, 1, 0}));
    EXPECT_EQ(outcome->metadata.verdict.kind, VerdictKind::Running);
    EXPECT_EQ(outcome->metadata.controls.size(), 1U);
  }
  EXPECT_EQ(launcher_->spawned, 1);
  EXPECT_EQ(runner_->get_info().version, "fake 1");
}

TEST_F(ProcessRunnerTest, AnIdleEngineIsHeldToWhatItWasMeasuredToHold) {
  use(echo);
  ASSERT_TRUE(runner_->execute("one").has_value());
  ASSERT_TRUE(runner_->execute("two").has_value());
  EXPECT_EQ(*launcher_->memory_limits, (std::vector<std::uint64_t>{1000, 0, 1000}));
}

TEST_F(ProcessRunnerTest, ManyThreadsTakeTurns) {
  use(echo);
  std::atomic<int> right = 0;
  std::vector<std::jthread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, prompt = std::to_string(i)] {
      const auto outcome = runner_->execute(prompt);
      if (outcome.has_value() && outcome->response == prompt) ++right;
    });
  }
  threads.clear();
  EXPECT_EQ(right, 8);
  EXPECT_EQ(launcher_->spawned, 1);
}

TEST_F(ProcessRunnerTest, WhatBreaksTheProtocolIsNamed) {
  struct Case {
    std::vector<std::string> lines;
    std::string named;
  };
  const std::string done =
      R"({"type":"done","id":1,"finish_reason":"stop","usage":{"prompt_tokens":1,"completion_tokens":)";
  const std::vector<Case> cases = {
      {{"garbage"}, "a line that is no JSON object: 'garbage'"},
      {{R"({"type":"ready","protocol":1})"}, "a 'ready' while execution 1 ran"},
      {{R"({"type":"token","id":2,"text":"a"})"}, "a 'token' of id 2 while execution 1 ran"},
      {{R"({"type":"error","id":0,"code":"failed","message":"m"})"}, "an 'error' of id 0 ('m')"},
      {{std::string(70'000, 'x')}, "a line above 64 KiB"},
      {{done + "999999}}"}, "more tokens used than were asked for"},
      {{R"({"type":"done","id":1,"finish_reason":"cancelled","usage":{"prompt_tokens":1,"completion_tokens":1}})"},
       "it cancelled what nobody cancelled"},
      {std::vector<std::string>(300, R"({"type":"token","id":1,"text":"a"})"),
       "more tokens than were asked for"},
  };
  for (const Case& test : cases) {
    use(answering(test.lines));
    const std::string seen = failure();
    EXPECT_TRUE(seen.starts_with("ExecutionFailed")) << seen;
    EXPECT_NE(seen.find(test.named), std::string::npos) << seen;
    EXPECT_EQ(runner_->engine_pid(), 0);
  }
}

TEST_F(ProcessRunnerTest, AnEngineThatIsNeverReadyIsGivenUp) {
  ready_timeout_ = milliseconds(20);
  use([](FakeEngine& engine) {
    engine.complain("still loading\n");
    (void)engine.next("none");
    return Verdict{.kind = VerdictKind::Exited};
  });
  const std::string seen = failure();
  EXPECT_TRUE(seen.starts_with("InitializationFailed")) << seen;
  EXPECT_NE(seen.find("not ready within 20 ms; its last words: still loading"), std::string::npos)
      << seen;
}

TEST_F(ProcessRunnerTest, TheVerdictOfADeathIsKept) {
  use([](FakeEngine& engine) {
    engine.ready();
    const Json request = engine.next("execute");
    if (request.is_null()) return Verdict{.kind = VerdictKind::Exited};
    engine.token(request["id"], "half");
    return Verdict{.kind = VerdictKind::MemoryLimit, .limit_bytes = 64, .peak_bytes = 65};
  });
  for (int i = 1; i <= 2; ++i) {
    const auto outcome = runner_->execute("hello");
    ASSERT_FALSE(outcome.has_value());
    const auto* error = outcome.error().get_if<runner_error::ResourceLimitExceeded>();
    ASSERT_NE(error, nullptr) << outcome.error().message();
    EXPECT_EQ(error->resource, "memory");
    EXPECT_EQ(outcome.error().partial_response(), "half");
    EXPECT_EQ(outcome.error().metadata().verdict.kind, VerdictKind::MemoryLimit);
    EXPECT_EQ(launcher_->spawned, i);
  }
}

TEST_F(ProcessRunnerTest, ACancelledEngineStaysWarm) {
  use([](FakeEngine& engine) {
    engine.ready();
    for (Json request = engine.next("execute"); !request.is_null();
         request = engine.next("execute")) {
      engine.token(request["id"], "first");
      if (engine.next("cancel").is_null()) break;
      engine.done(request["id"], "cancelled");
    }
    return Verdict{.kind = VerdictKind::Exited};
  });
  std::stop_source source;
  const auto stopped = runner_->execute(
      "a", {},
      [&](std::string_view) {
        source.request_stop();
        return true;
      },
      source.get_token());
  ASSERT_FALSE(stopped.has_value());
  EXPECT_NE(stopped.error().get_if<runner_error::Cancelled>(), nullptr);
  EXPECT_EQ(stopped.error().partial_response(), "first");

  const auto refused = runner_->execute("b", {}, [](std::string_view) { return false; }, {});
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().get_if<runner_error::Cancelled>(), nullptr);

  ExecutionOptions options;
  options.timeout = milliseconds(20);
  const auto late = runner_->execute("c", options);
  ASSERT_FALSE(late.has_value());
  EXPECT_NE(late.error().get_if<runner_error::ExecutionTimeout>(), nullptr);
  EXPECT_EQ(late.error().metadata().finish_reason, "timeout");
  EXPECT_EQ(launcher_->spawned, 1);
}

TEST_F(ProcessRunnerTest, OneThatDoesNotCancelIsKilledAndReplaced) {
  cancel_grace_ = milliseconds(20);
  use([](FakeEngine& engine) {
    engine.ready();
    while (!engine.next("execute").is_null()) {
    }
    return Verdict{.kind = VerdictKind::Exited};
  });
  ExecutionOptions options;
  options.timeout = milliseconds(20);
  for (int i = 1; i <= 2; ++i) {
    const auto outcome = runner_->execute("a", options);
    ASSERT_FALSE(outcome.has_value());
    EXPECT_NE(outcome.error().get_if<runner_error::ExecutionTimeout>(), nullptr);
    EXPECT_EQ(outcome.error().metadata().verdict.kind, VerdictKind::TimeLimit);
    EXPECT_EQ(launcher_->spawned, i);
  }
}

TEST_F(ProcessRunnerTest, AnErrorOfTheEngineIsTypedAndLeavesItWarm) {
  use([](FakeEngine& engine) {
    engine.ready();
    for (const char* code : {"invalid_input", "failed"}) {
      const Json request = engine.next("execute");
      engine.say(
          Json({{"type", "error"}, {"id", request["id"]}, {"code", code}, {"message", "too long"}})
              .dump());
    }
    (void)engine.next("none");
    return Verdict{.kind = VerdictKind::Exited};
  });
  EXPECT_TRUE(failure().starts_with("InvalidInput"));
  EXPECT_TRUE(failure().starts_with("ExecutionFailed"));
  EXPECT_EQ(launcher_->spawned, 1);
}

TEST_F(ProcessRunnerTest, AnIdleEngineThatTalksIsReplaced) {
  use([](FakeEngine& engine) {
    engine.ready();
    const Json request = engine.next("execute");
    if (request.is_null()) return Verdict{.kind = VerdictKind::Exited};
    // In one piece, so that it is there as soon as the answer is.
    engine.say_raw(
        R"({"type":"done","id":1,"finish_reason":"stop","usage":{"prompt_tokens":1,"completion_tokens":0}})"
        "\nmore\n");
    (void)engine.next("none");
    return Verdict{.kind = VerdictKind::Exited};
  });
  EXPECT_EQ(failure(), "no failure");
  EXPECT_EQ(failure(), "no failure");
  EXPECT_EQ(launcher_->spawned, 2);
}

TEST(ProcessRunnerCreate, ChecksWhatItIsGiven) {
  const auto relative = ProcessRunner::create({"python3"}, {}, {});
  ASSERT_FALSE(relative.has_value());
  EXPECT_EQ(relative.error().get_if<runner_error::InvalidInput>()->field, "command");
  ModelResourceRequirements much;
  much.min_memory_mb = 1 << 20;
  EXPECT_FALSE(ProcessRunner::create({"/bin/true"}, {}, much).has_value());
}

}  // namespace
}  // namespace symbiont
