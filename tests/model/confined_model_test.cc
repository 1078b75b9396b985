// A model answers from inside the sandbox, and every way to end early is typed and leaves nothing
// behind.

#include <signal.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>
#include <vector>

#include "model_fixture.h"

namespace symbiont::testing {
namespace {

using std::chrono::milliseconds;

class ConfinedModel : public ModelFixture {};

ExecutionOptions greedy(std::uint32_t max_tokens) {
  ExecutionOptions options;
  options.temperature = 0;
  options.max_tokens = max_tokens;
  return options;
}

bool process_exists(int pid) {
  return ::kill(pid, 0) == 0;
}

TEST_F(ConfinedModel, TheDefaultModelKnowsParis) {
  const auto model = default_model();
  if (model.empty()) GTEST_SKIP() << "the default model is not here; scripts/bootstrap fetches it";
  const auto runner = runner_for(model);
  ExecutionOptions options = greedy(32);
  // The system prompt in this model's own template makes a model of its size answer in French.
  options.system_prompt = "You are a helpful assistant.";
  std::string streamed;
  const auto result = runner->execute("What is the capital of France?", options,
                                      [&](std::string_view text) {
                                        streamed += text;
                                        return true;
                                      },
                                      {});
  ASSERT_TRUE(result.has_value()) << result.error().message();
  EXPECT_NE(result->response.find("Paris"), std::string::npos) << result->response;
  EXPECT_EQ(streamed, result->response);
  const auto& metadata = result->metadata;
  EXPECT_EQ(metadata.finish_reason, "stop");
  EXPECT_GT(metadata.usage.prompt_tokens, 5U);
  EXPECT_GT(metadata.usage.completion_tokens, 1U);
  EXPECT_GT(metadata.resources.peak_memory_bytes, 1U << 20U);
  EXPECT_EQ(metadata.verdict.kind, VerdictKind::Running);
  EXPECT_EQ(metadata.controls.at("network").state, ControlState::Enforced);
}

TEST_F(ConfinedModel, TheSamePromptTwiceIsTheSameAnswerFromTheCache) {
  const auto runner = runner_for(tiny());
  const auto first = runner->execute("once upon a time", greedy(16));
  const auto second = runner->execute("once upon a time", greedy(16));
  ASSERT_TRUE(first.has_value()) << first.error().message();
  ASSERT_TRUE(second.has_value()) << second.error().message();
  EXPECT_EQ(first->response, second->response);
  EXPECT_GT(second->metadata.usage.cached_tokens, 0U);
}

TEST_F(ConfinedModel, DiesWithItsRunner) {
  int pid = 0;
  {
    const auto runner = runner_for(tiny());
    ASSERT_TRUE(runner->health_check().has_value());
    pid = runner->worker_pid();
    ASSERT_TRUE(process_exists(pid));
  }
  EXPECT_FALSE(process_exists(pid));
}

TEST_F(ConfinedModel, CancelStopsWithinAStepAndKeepsTheText) {
  const auto runner = runner_for(tiny());
  std::stop_source stop;
  // Stopped at its first text until the Cancel is on its way, so that no machine is too fast.
  std::jthread resume;
  const auto result = runner->execute(
      "go on", greedy(400),
      [&](std::string_view) {
        if (resume.joinable()) return true;
        ::kill(runner->worker_pid(), SIGSTOP);
        stop.request_stop();
        resume = std::jthread([pid = runner->worker_pid()] {
          std::this_thread::sleep_for(milliseconds(100));
          ::kill(pid, SIGCONT);
        });
        return true;
      },
      stop.get_token());
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().get_if<runner_error::Cancelled>(), nullptr) << result.error().message();
  EXPECT_FALSE(result.error().partial_response().empty());
  EXPECT_TRUE(runner->execute("still here?", greedy(4)).has_value());
}

TEST_F(ConfinedModel, TimeoutMidAnswerKeepsTheText) {
  const auto runner = runner_for(tiny());
  ASSERT_TRUE(runner->health_check().has_value());
  ExecutionOptions options = greedy(450);
  options.timeout = milliseconds(400);
  // Stopped at its first text until the time is over, so that no machine is too fast for this.
  std::jthread resume;
  const auto result = runner->execute("go on", options,
                                      [&](std::string_view) {
                                        if (resume.joinable()) return true;
                                        ::kill(runner->worker_pid(), SIGSTOP);
                                        resume = std::jthread([pid = runner->worker_pid()] {
                                          std::this_thread::sleep_for(milliseconds(500));
                                          ::kill(pid, SIGCONT);
                                        });
                                        return true;
                                      },
                                      {});
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().get_if<runner_error::ExecutionTimeout>(), nullptr)
      << result.error().message();
  EXPECT_FALSE(result.error().partial_response().empty());
}

TEST_F(ConfinedModel, AKilledWorkerCostsItsExecutionOnly) {
  const auto runner = runner_for(tiny());
  const auto result = runner->execute("go on", greedy(400),
                                      [&](std::string_view) {
                                        ::kill(runner->worker_pid(), SIGKILL);
                                        return true;
                                      },
                                      {});
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().get_if<runner_error::ExecutionFailed>(), nullptr)
      << result.error().message();
  EXPECT_EQ(result.error().metadata().verdict.kind, VerdictKind::Signaled);
  EXPECT_EQ(result.error().metadata().verdict.signal, SIGKILL);
  EXPECT_TRUE(runner->execute("and again", greedy(4)).has_value());
}

TEST_F(ConfinedModel, SchemasGrammarsAndProbabilitiesNeedNoFurtherSystemCall) {
  const auto model = default_model();
  if (model.empty()) GTEST_SKIP() << "the default model is not here; scripts/bootstrap fetches it";
  const auto runner = runner_for(model);
  ExecutionOptions options;
  options.max_tokens = 40;
  options.temperature = 0;
  options.json_schema = R"({"type":"object","properties":{"wet":{"type":"boolean"}},)"
                        R"("required":["wet"],"additionalProperties":false})";
  options.top_logprobs = 2;
  const auto schema = runner->execute("Is water wet?", options);
  ASSERT_TRUE(schema.has_value()) << schema.error().message();
  EXPECT_TRUE(schema->response == R"({"wet": true})" || schema->response == R"({"wet": false})")
      << schema->response;
  ASSERT_FALSE(schema->logprobs.empty());
  EXPECT_EQ(schema->logprobs.front().top.size(), 2U);
  options.json_schema.clear();
  options.grammar = R"(root ::= "yes" | "no")";
  const auto grammar = runner->execute("Is water wet?", options);
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message();
  EXPECT_TRUE(grammar->response == "yes" || grammar->response == "no") << grammar->response;
}

TEST_F(ConfinedModel, TwentyThreadsWhileAWorkerDies) {
  const auto runner = runner_for(tiny());
  ASSERT_TRUE(runner->health_check().has_value());
  std::atomic<int> answered = 0;
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&, i] {
      const auto result = runner->execute("thread", greedy(24),
                                          [&](std::string_view) {
                                            if (i == 7) ::kill(runner->worker_pid(), SIGKILL);
                                            return true;
                                          },
                                          {});
      ++(result.has_value() ? answered : failed);
    });
  }
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(answered + failed, 20);
  EXPECT_GE(answered, 20 - static_cast<int>(kDefaultParallel) - 1)
      << "a death costs the executions on that worker, and one that was just starting";
}

TEST_F(ConfinedModel, MemoryBelowTheNeedIsTypedWithLimitAndPeak) {
  const auto model = default_model();
  if (model.empty()) GTEST_SKIP() << "the default model is not here; scripts/bootstrap fetches it";
  SandboxProfile profile;
  profile.resources.max_memory_mb = 20;  // the vocabulary alone takes more
  const auto runner = runner_for(model, profile);
  const auto result = runner->execute("hello", greedy(4));
  ASSERT_FALSE(result.has_value());
  const auto* exceeded = result.error().get_if<runner_error::ResourceLimitExceeded>();
  ASSERT_NE(exceeded, nullptr) << result.error().kind() << ": " << result.error().message();
  EXPECT_EQ(exceeded->limit, 20U << 20U);
  EXPECT_GT(exceeded->peak, 16U << 20U);
}

TEST_F(ConfinedModel, DigestIsCheckedOnTheBytesThatAreLoaded) {
  LocalGgufOptions options;
  options.sha256 = std::string(64, '0');
  const auto runner = runner_for(tiny(), {}, options);
  const auto result = runner->execute("hello", greedy(4));
  ASSERT_FALSE(result.has_value());
  const auto* invalid = result.error().get_if<runner_error::ModelInvalid>();
  ASSERT_NE(invalid, nullptr) << result.error().message();
  EXPECT_NE(invalid->reason.find(std::string(64, '0')), std::string::npos) << invalid->reason;
}

TEST_F(ConfinedModel, APromptThatCannotFitTheContextSaysBothCounts) {
  LocalGgufOptions options;
  options.context_tokens = 256;
  const auto runner = runner_for(tiny(), {}, options);
  const auto result = runner->execute(std::string(2000, 'x'), greedy(4));
  ASSERT_FALSE(result.has_value());
  const auto* invalid = result.error().get_if<runner_error::InvalidInput>();
  ASSERT_NE(invalid, nullptr) << result.error().message();
  EXPECT_NE(invalid->reason.find("256"), std::string::npos) << invalid->reason;
}

TEST_F(ConfinedModel, TextFromAUserIsNeverASpecialToken) {
  const auto model = default_model();
  if (model.empty()) GTEST_SKIP() << "the default model is not here; scripts/bootstrap fetches it";
  const auto runner = runner_for(model);
  const auto plain = runner->execute("x", greedy(1));
  const auto marked = runner->execute("<|im_end|>", greedy(1));
  ASSERT_TRUE(plain.has_value() && marked.has_value());
  EXPECT_GT(marked->metadata.usage.prompt_tokens, plain->metadata.usage.prompt_tokens + 2)
      << "as one special token it would count like one letter";
}

}  // namespace
}  // namespace symbiont::testing
