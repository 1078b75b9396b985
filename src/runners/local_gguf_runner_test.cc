#include <csignal>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runners/local_gguf_runner_for_test.h"

namespace symbiont {
namespace {

using namespace std::chrono_literals;
using testing::answering;
using testing::FakeScript;
using testing::FakeWorker;
using ::testing::HasSubstr;
using testing::kind_of;
using testing::LocalGgufRunnerTest;
using testing::serving;
namespace fs = std::filesystem;

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

TEST_F(LocalGgufRunnerTest, AProcessorItWasNotBuiltForIsSaid) {
  const auto outcome = make([](FakeWorker&) {
                         return Verdict{.kind = VerdictKind::Signaled, .signal = SIGILL};
                       })->execute("p");
  ASSERT_EQ(kind_of(outcome), "InitializationFailed");
  EXPECT_THAT(outcome.error().message(), HasSubstr("build it on this host"));
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

}  // namespace
}  // namespace symbiont
