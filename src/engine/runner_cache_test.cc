// What stays warm, for how long, within which bounds; and what is set aside.

#include "engine/runner_cache.h"

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "engine/quarantine.h"

namespace symbiont {
namespace {

using std::chrono::seconds;

class IdleRunner final : public SlmRunner {
 public:
  [[nodiscard]] Outcome execute_chat(std::span<const ChatMessage> /*messages*/,
                                     const ExecutionOptions& /*options*/,
                                     const TokenSink& /*sink*/,
                                     std::stop_token /*stop_token*/) override {
    return ExecutionResult{};
  }
  [[nodiscard]] const SandboxProfile& get_sandbox_profile() const override { return profile_; }
  [[nodiscard]] const ModelResourceRequirements& get_resource_requirements() const override {
    return requirements_;
  }
  [[nodiscard]] std::expected<void, SlmRunnerError> health_check() override { return {}; }
  [[nodiscard]] RunnerInfo get_info() const override { return {}; }

 private:
  SandboxProfile profile_;
  ModelResourceRequirements requirements_;
};

class RunnerCacheTest : public ::testing::Test {
 protected:
  RunnerCache::Clock clock() {
    return [this] { return now_; };
  }
  RunnerCache cache(RunnerBounds bounds) {
    return {[this](const RunnerRequest&) {
              ++made_;
              return std::make_shared<IdleRunner>();
            },
            bounds, clock()};
  }
  [[nodiscard]] RunnerRequest request(std::string_view agent) const {
    return {.model = model_, .profile = profile_, .agent = agent, .on_load_progress = nullptr};
  }

  /// An execution after which the worker holds so much; 0: nothing counted it.
  static SlmRunner::Outcome held(std::uint64_t megabytes) {
    ExecutionResult result;
    result.metadata.verdict.kind = VerdictKind::Running;
    result.metadata.resources.peak_memory_bytes = megabytes << 20U;
    return result;
  }

  std::chrono::steady_clock::time_point now_{seconds(1000)};
  Model model_;
  SandboxProfile profile_;  // 512 MB
  int made_ = 0;
};

TEST_F(RunnerCacheTest, MemoryLimitsOfProfilesAddUpAndTheLongestUnusedMakesRoom) {
  RunnerCache runners = cache({.max_runners = 64, .memory_bytes = 1100ULL << 20U});
  ASSERT_TRUE(runners.get(request("a")).has_value());
  now_ += seconds(1);
  ASSERT_TRUE(runners.get(request("b")).has_value());
  now_ += seconds(1);
  runners.used(request("a"), held(0));
  ASSERT_TRUE(runners.get(request("c")).has_value());  // in place of b
  EXPECT_EQ(made_, 3);
  ASSERT_TRUE(runners.get(request("a")).has_value());
  EXPECT_EQ(made_, 3) << "a is still warm";
  ASSERT_TRUE(runners.get(request("b")).has_value());
  EXPECT_EQ(made_, 4);
}

TEST_F(RunnerCacheTest, BusyRunnersAreNotEvicted) {
  RunnerCache runners = cache({.max_runners = 64, .memory_bytes = 600ULL << 20U});
  const auto busy = runners.get(request("a"));
  ASSERT_TRUE(busy.has_value());
  const auto refused = runners.get(request("b"));
  ASSERT_FALSE(refused.has_value());
  const auto* limit = refused.error().get_if<runner_error::ResourceLimitExceeded>();
  ASSERT_NE(limit, nullptr);
  EXPECT_EQ(limit->resource, "memory budget");
}

TEST_F(RunnerCacheTest, IdleRunnersCountWithWhatTheyHold) {
  RunnerCache runners = cache({.max_runners = 64, .memory_bytes = 1100ULL << 20U});
  for (const char* agent : {"a", "b", "c", "d"}) {
    ASSERT_TRUE(runners.get(request(agent)).has_value()) << agent;
    runners.used(request(agent), held(150));
  }
  for (const char* agent : {"a", "b", "c", "d"})
    ASSERT_TRUE(runners.get(request(agent)).has_value()) << agent;
  EXPECT_EQ(made_, 4) << "3 * 150 + 512 MB fit";
  ASSERT_TRUE(runners.get(request("e")).has_value());  // 4 * 150 + 512 do not
  ASSERT_TRUE(runners.get(request("a")).has_value());
  EXPECT_EQ(made_, 6) << "a was the longest unused";
}

TEST_F(RunnerCacheTest, OneThatBecomesBusyNeedsRoomForItsLimit) {
  RunnerCache runners = cache({.max_runners = 64, .memory_bytes = 800ULL << 20U});
  for (const char* agent : {"a", "b"}) {
    ASSERT_TRUE(runners.get(request(agent)).has_value());
    runners.used(request(agent), held(200));
  }
  const auto busy = runners.get(request("a"));
  ASSERT_TRUE(busy.has_value());
  const auto refused = runners.get(request("b"));  // 512 + 512
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().get_if<runner_error::ResourceLimitExceeded>(), nullptr);
  EXPECT_EQ(runners.get(request("a")).value(), *busy) << "more executions of the busy one";
  EXPECT_EQ(made_, 2);
}

TEST_F(RunnerCacheTest, MakingRoomForOneThatBecomesBusyEndsOthersAndNotItself) {
  RunnerCache runners = cache({.max_runners = 64, .memory_bytes = 800ULL << 20U});
  ASSERT_TRUE(runners.get(request("a")).has_value());
  runners.used(request("a"), held(250));
  now_ += seconds(1);
  ASSERT_TRUE(runners.get(request("b")).has_value());
  runners.used(request("b"), held(300));
  ASSERT_TRUE(runners.get(request("a")).has_value());  // 512 + 300: b goes, though a is older
  EXPECT_EQ(made_, 2);
  ASSERT_TRUE(runners.get(request("b")).has_value());
  EXPECT_EQ(made_, 3);
}

TEST_F(RunnerCacheTest, AfterAWorkersEndItsRunnerCountsWithItsLimit) {
  RunnerCache runners = cache({.max_runners = 64, .memory_bytes = 800ULL << 20U});
  ASSERT_TRUE(runners.get(request("a")).has_value());
  runners.used(request("a"), held(100));
  SlmRunnerError death(runner_error::ExecutionFailed{"it died"});
  ExecutionMetadata metadata;
  metadata.verdict.kind = VerdictKind::Signaled;
  death.set_context({}, metadata);
  runners.used(request("a"), std::unexpected(death));
  ASSERT_TRUE(runners.get(request("b")).has_value());  // 512 + 512: a goes
  ASSERT_TRUE(runners.get(request("a")).has_value());
  EXPECT_EQ(made_, 3);
}

TEST_F(RunnerCacheTest, RunnersThatAreNotKeptCountWhileTheyLive) {
  model_.isolation = Isolation::Request;
  RunnerCache runners = cache({.max_runners = 64, .memory_bytes = 800ULL << 20U});
  auto first = runners.get(request("a"));
  ASSERT_TRUE(first.has_value());
  EXPECT_FALSE(runners.get(request("a")).has_value());
  first->reset();
  EXPECT_TRUE(runners.get(request("a")).has_value());
}

TEST_F(RunnerCacheTest, WhatNobodyUsesIsUnloaded) {
  RunnerCache runners = cache({});
  const auto busy = runners.get(request("a"));
  ASSERT_TRUE(runners.get(request("b")).has_value());
  now_ += seconds(59);
  EXPECT_EQ(runners.unload_idle(seconds(60)), 0U);
  now_ += seconds(1);
  EXPECT_EQ(runners.unload_idle(seconds(60)), 1U) << "the busy one stays";
}

SlmRunnerError death(VerdictKind kind, int signal = 0) {
  SlmRunnerError error(runner_error::ExecutionFailed{"it died"});
  ExecutionMetadata metadata;
  metadata.verdict.kind = kind;
  metadata.verdict.signal = signal;
  error.set_context({}, std::move(metadata));
  return error;
}

TEST_F(RunnerCacheTest, ThreeDeathsInAMinuteSetARunnerAsideForFive) {
  Quarantine quarantine(clock());
  const RunnerCache::Key mine{"m", "p", "ann", false};
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(quarantine.check(mine).has_value());
    quarantine.note(mine, death(VerdictKind::Signaled, SIGSEGV));
    now_ += seconds(10);
  }
  const auto refused = quarantine.check(mine);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message().find("it died"), std::string::npos);
  EXPECT_TRUE(quarantine.check({"m", "p", "bob", false}).has_value())
      << "another agent's is not touched";
  now_ += kQuarantine;
  EXPECT_TRUE(quarantine.check(mine).has_value());
}

TEST_F(RunnerCacheTest, DeathsFarApartAreForgiven) {
  Quarantine quarantine(clock());
  const RunnerCache::Key key{"m", "p", "ann", false};
  for (int i = 0; i < 10; ++i) {
    quarantine.note(key, death(VerdictKind::MemoryLimit));
    now_ += seconds(31);
  }
  EXPECT_TRUE(quarantine.check(key).has_value());
}

TEST(Quarantine, WhatIsADeath) {
  EXPECT_TRUE(Quarantine::is_death(death(VerdictKind::Signaled, SIGSEGV)));
  EXPECT_TRUE(Quarantine::is_death(death(VerdictKind::SyscallDenied)));
  EXPECT_FALSE(Quarantine::is_death(death(VerdictKind::Signaled, SIGKILL))) << "from outside";
  EXPECT_FALSE(Quarantine::is_death(death(VerdictKind::TimeLimit)));
  EXPECT_FALSE(Quarantine::is_death(death(VerdictKind::Running)));
}

TEST_F(RunnerCacheTest, ASpareIsForOneExecution) {
  model_.isolation = Isolation::Request;
  RunnerCache runners = cache({.max_runners = 64, .memory_bytes = 2000ULL << 20U});
  auto spare = runners.begin_spare(request(""));
  ASSERT_TRUE(spare.has_value());
  const SlmRunner* kept = spare->runner.get();
  runners.keep_spare(request(""), *std::exchange(spare, std::nullopt), 100ULL << 20U);
  EXPECT_FALSE(runners.begin_spare(request("")).has_value()) << "one is enough";
  const auto first = runners.get(request("a"));
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->get(), kept) << "whoever asks";
  const auto second = runners.get(request("a"));
  ASSERT_TRUE(second.has_value());
  EXPECT_NE(second->get(), kept);
  EXPECT_EQ(made_, 2);
}

TEST_F(RunnerCacheTest, ASpareTakesNobodysRoom) {
  RunnerCache runners = cache({.max_runners = 64, .memory_bytes = 600ULL << 20U});
  ASSERT_TRUE(runners.get(request("a")).has_value());
  runners.used(request("a"), held(200));
  model_.isolation = Isolation::Request;
  EXPECT_FALSE(runners.begin_spare(request("")).has_value()) << "200 + 512 MB do not fit";
}

TEST_F(RunnerCacheTest, ASpareThatIsStartingMakesRoom) {
  RunnerCache runners = cache({.max_runners = 64, .memory_bytes = 600ULL << 20U});
  model_.isolation = Isolation::Request;
  const auto spare = runners.begin_spare(request(""));
  ASSERT_TRUE(spare.has_value());
  const auto needed = runners.get(request("a"));
  EXPECT_TRUE(needed.has_value());
  EXPECT_TRUE(spare->abandoned.stop_requested());
  runners.keep_spare(request(""), *spare, 0);
  const auto other = runners.get(request("b"));
  EXPECT_FALSE(other.has_value()) << "one that was given up is not kept";
}

TEST_F(RunnerCacheTest, ASpareMakesRoomAndGoesWhenNobodyNeedsIt) {
  RunnerCache runners = cache({.max_runners = 64, .memory_bytes = 600ULL << 20U});
  const auto keep = [&] {
    model_.isolation = Isolation::Request;
    auto spare = runners.begin_spare(request(""));
    ASSERT_TRUE(spare.has_value());
    runners.keep_spare(request(""), *std::exchange(spare, std::nullopt), 0);
    model_.isolation = Isolation::Agent;
  };
  keep();
  EXPECT_TRUE(runners.get(request("a")).has_value()) << "in the spare's place";
  EXPECT_EQ(runners.unload_idle(seconds(0)), 1U);
  keep();
  now_ += seconds(10);
  EXPECT_EQ(runners.unload_idle(seconds(10)), 1U);
}

TEST_F(RunnerCacheTest, ASpareOfAnotherConfigurationIsNotUsed) {
  RunnerCache runners = cache({});
  model_.isolation = Isolation::Request;
  auto spare = runners.begin_spare(request(""));
  ASSERT_TRUE(spare.has_value());
  const std::weak_ptr<SlmRunner> outdated = spare->runner;
  runners.keep_spare(request(""), *std::exchange(spare, std::nullopt), 0);
  profile_.resources.max_memory_mb = 64;
  EXPECT_TRUE(runners.get(request("a")).has_value());
  EXPECT_TRUE(outdated.expired());
  EXPECT_EQ(made_, 2);
}

}  // namespace
}  // namespace symbiont
