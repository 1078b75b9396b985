#include "engine/dispatcher.h"

#include <algorithm>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace symbiont {
namespace {

using namespace std::chrono_literals;

constexpr auto kLong = 30s;  // never reached unless something is wrong

/// An engine whose executions of prompt "block" end when they are told to, or cancelled.
class FakeEngine {
 public:
  Engine::Outcome run(const EngineRequest& request,
                      const TokenSink& sink,
                      const std::stop_token& stop) {
    {
      const std::lock_guard lock(mutex_);
      started_.push_back(request.prompt);
      changed_.notify_all();
    }
    if (sink != nullptr && !sink("text of " + request.prompt)) return cancelled();
    if (request.prompt.starts_with("block")) {
      const std::stop_callback wake(stop, [this] {
        const std::lock_guard lock(mutex_);
        changed_.notify_all();
      });
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return is_open_ || stop.stop_requested(); });
      if (!is_open_) return cancelled();
    }
    ExecutionResult result;
    result.response = "answer to " + request.prompt;
    result.metadata.execution_id = request.execution_id;
    return result;
  }

  void open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }
  std::vector<std::string> wait_started(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kLong, [&] { return started_.size() >= count; });
    return started_;
  }

 private:
  static Engine::Outcome cancelled() {
    return std::unexpected(EngineError(SlmRunnerError(runner_error::Cancelled{})));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> started_;
  bool is_open_ = false;
};

class DispatcherTest : public ::testing::Test {
 protected:
  void start(DispatcherLimits limits = {}) {
    dispatcher_.emplace(
        [this](const EngineRequest& request, const TokenSink& sink, const std::stop_token& stop) {
          return engine_.run(request, sink, stop);
        },
        limits);
  }

  struct Submitted {
    std::expected<Dispatcher::Handle, Refusal> handle;
    std::future<Engine::Outcome> outcome;
  };
  Submitted submit(const std::string& prompt,
                   const std::string& agent = "ann",
                   std::chrono::milliseconds timeout = kLong) {
    EngineRequest request;
    request.agent = agent;
    request.model_id = "m";
    request.prompt = prompt;
    request.options.timeout = timeout;
    request.options.max_tokens = 8;
    auto promise = std::make_shared<std::promise<Engine::Outcome>>();
    std::future<Engine::Outcome> outcome = promise->get_future();
    ExecutionEvents events;
    events.on_end = [promise](Engine::Outcome o) { promise->set_value(std::move(o)); };
    return {dispatcher_->submit(std::move(request), std::move(events)), std::move(outcome)};
  }
  static Engine::Outcome get(Submitted& submitted) {
    EXPECT_EQ(submitted.outcome.wait_for(kLong), std::future_status::ready);
    return submitted.outcome.get();
  }
  template <typename Kind>
  static bool failed_with(const Engine::Outcome& outcome) {
    if (outcome.has_value()) return false;
    const auto* error = std::get_if<SlmRunnerError>(&outcome.error());
    return error != nullptr && error->get_if<Kind>() != nullptr;
  }

  FakeEngine engine_;
  std::optional<Dispatcher> dispatcher_;
};

TEST_F(DispatcherTest, RunsAndReports) {
  start();
  Submitted one = submit("one");
  ASSERT_TRUE(one.handle.has_value());
  const std::string id = (*one.handle)->id();
  EXPECT_TRUE(id.starts_with("exec-"));
  const Engine::Outcome outcome = get(one);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->response, "answer to one");
  EXPECT_EQ(outcome->metadata.execution_id, id);
}

TEST_F(DispatcherTest, QueuesWhatIsAboveTheLimit) {
  start({.max_running = 2, .max_running_per_agent = 2});
  std::vector<Submitted> all;
  all.reserve(5);
  for (int i = 0; i < 5; ++i)
    all.push_back(submit("block" + std::to_string(i)));
  (void)engine_.wait_started(2);
  EXPECT_EQ(dispatcher_->counts().running, 2U);
  EXPECT_EQ(dispatcher_->counts().queued, 3U);
  engine_.open();
  for (Submitted& one : all)
    EXPECT_TRUE(get(one).has_value());
  EXPECT_TRUE(dispatcher_->wait_idle(kLong));
  EXPECT_TRUE(dispatcher_->list().empty());
}

TEST_F(DispatcherTest, OneAgentCannotHoldEverySlot) {
  start({.max_running = 2, .max_running_per_agent = 1});
  Submitted first = submit("block1", "ann");
  (void)engine_.wait_started(1);
  Submitted second = submit("block2", "ann");
  Submitted other = submit("quick", "bob");
  EXPECT_TRUE(get(other).has_value());
  EXPECT_EQ(dispatcher_->counts().queued, 1U);
  engine_.open();
  EXPECT_TRUE(get(first).has_value());
  EXPECT_TRUE(get(second).has_value());
}

TEST_F(DispatcherTest, LongPromptsFillTheQueueByTheirBytes) {
  start({.max_running = 1, .max_running_per_agent = 1, .max_queued_bytes = 10});
  std::vector<Submitted> all;
  all.push_back(submit("block0"));
  (void)engine_.wait_started(1);
  all.push_back(submit("123456"));
  const Submitted full = submit("789012");
  ASSERT_FALSE(full.handle.has_value());
  EXPECT_EQ(full.handle.error().reason, Refusal::Reason::QueueFull);
  ASSERT_TRUE(all.back().handle.has_value());
  (*all.back().handle)->cancel();  // gives its bytes back
  EXPECT_TRUE(submit("789012").handle.has_value());
  engine_.open();
}

TEST_F(DispatcherTest, FullQueuesRefuse) {
  start({.max_running = 1, .max_running_per_agent = 1, .max_queued = 3, .max_queued_per_agent = 2});
  std::vector<Submitted> all;
  all.push_back(submit("block0"));
  (void)engine_.wait_started(1);
  all.push_back(submit("one"));
  all.push_back(submit("two"));
  const Submitted too_many = submit("three");
  ASSERT_FALSE(too_many.handle.has_value());
  EXPECT_EQ(too_many.handle.error().reason, Refusal::Reason::AgentQueueFull);
  EXPECT_GE(too_many.handle.error().retry_after, 1s);
  all.push_back(submit("four", "bob"));
  const Submitted full = submit("five", "eve");
  ASSERT_FALSE(full.handle.has_value());
  EXPECT_EQ(full.handle.error().reason, Refusal::Reason::QueueFull);
  engine_.open();
  for (Submitted& one : all)
    EXPECT_TRUE(get(one).has_value());
}

TEST_F(DispatcherTest, ADeadlinePassesInTheQueue) {
  start({.max_running = 1, .max_running_per_agent = 1});
  Submitted first = submit("block");
  (void)engine_.wait_started(1);
  Submitted late = submit("late", "bob", 20ms);
  const Engine::Outcome outcome = get(late);
  EXPECT_TRUE(failed_with<runner_error::ExecutionTimeout>(outcome));
  engine_.open();
  EXPECT_TRUE(get(first).has_value());
  EXPECT_THAT(engine_.wait_started(1), ::testing::ElementsAre("block"));
}

TEST_F(DispatcherTest, CancelsARunningOne) {
  start();
  Submitted one = submit("block");
  (void)engine_.wait_started(1);
  ASSERT_EQ(dispatcher_->list().size(), 1U);
  EXPECT_EQ(dispatcher_->list().front().state, ExecutionState::Running);
  EXPECT_TRUE(dispatcher_->cancel((*one.handle)->id()));
  EXPECT_TRUE(failed_with<runner_error::Cancelled>(get(one)));
  EXPECT_TRUE(dispatcher_->wait_idle(kLong));
  EXPECT_FALSE(dispatcher_->cancel((*one.handle)->id()));
}

TEST_F(DispatcherTest, CancelsAQueuedOne) {
  start({.max_running = 1, .max_running_per_agent = 1});
  Submitted first = submit("block");
  (void)engine_.wait_started(1);
  Submitted second = submit("second");
  (*second.handle)->cancel();
  EXPECT_TRUE(failed_with<runner_error::Cancelled>(get(second)));
  EXPECT_EQ(dispatcher_->counts().queued, 0U);
  engine_.open();
  EXPECT_TRUE(get(first).has_value());
}

TEST_F(DispatcherTest, TellsOfEveryOneThatNeverRan) {
  std::mutex mutex;
  std::map<std::string, std::string> told;  // by prompt
  dispatcher_.emplace(
      [this](const EngineRequest& request, const TokenSink& sink, const std::stop_token& stop) {
        return engine_.run(request, sink, stop);
      },
      DispatcherLimits{.max_running = 1, .max_running_per_agent = 1},
      [&](const EngineRequest& request, SlmRunnerError error) -> Engine::Outcome {
        const std::lock_guard lock(mutex);
        told[request.prompt] = error.metadata().finish_reason;
        EXPECT_GE(request.queued, 0ms);
        EXPECT_FALSE(request.execution_id.empty());
        return std::unexpected(EngineError(std::move(error)));
      });
  Submitted first = submit("block");
  (void)engine_.wait_started(1);
  Submitted late = submit("late", "bob", 20ms);
  Submitted unwanted = submit("unwanted", "eve");
  (*unwanted.handle)->cancel();
  Submitted left = submit("left", "ann");
  EXPECT_TRUE(failed_with<runner_error::ExecutionTimeout>(get(late)));
  EXPECT_TRUE(failed_with<runner_error::Cancelled>(get(unwanted)));
  dispatcher_->cancel_all();
  EXPECT_TRUE(failed_with<runner_error::Cancelled>(get(left)));
  EXPECT_TRUE(failed_with<runner_error::Cancelled>(get(first)));
  EXPECT_THAT(told, ::testing::UnorderedElementsAre(::testing::Pair("late", "timeout"),
                                                    ::testing::Pair("unwanted", "cancelled"),
                                                    ::testing::Pair("left", "cancelled")));
}

TEST_F(DispatcherTest, ASinkThatHasEnoughCancels) {
  start();
  std::promise<Engine::Outcome> promise;
  EngineRequest request;
  request.agent = "ann";
  request.prompt = "p";
  std::string seen;
  const auto handle = dispatcher_->submit(
      request, {.on_text =
                    [&](std::string_view text) {
                      seen = text;
                      return false;
                    },
                .on_end = [&](Engine::Outcome outcome) { promise.set_value(std::move(outcome)); }});
  ASSERT_TRUE(handle.has_value());
  EXPECT_TRUE(failed_with<runner_error::Cancelled>(promise.get_future().get()));
  EXPECT_EQ(seen, "text of p");
}

TEST_F(DispatcherTest, DrainsAndThenCancels) {
  start();
  Submitted one = submit("block");
  (void)engine_.wait_started(1);
  dispatcher_->stop_accepting();
  const Submitted refused = submit("more");
  ASSERT_FALSE(refused.handle.has_value());
  EXPECT_EQ(refused.handle.error().reason, Refusal::Reason::Draining);
  EXPECT_FALSE(dispatcher_->wait_idle(10ms));
  dispatcher_->cancel_all();
  EXPECT_TRUE(dispatcher_->wait_idle(kLong));
  EXPECT_TRUE(failed_with<runner_error::Cancelled>(get(one)));
}

TEST_F(DispatcherTest, GoesAwayWithWorkLeft) {
  start({.max_running = 1, .max_running_per_agent = 1});
  Submitted running = submit("block");
  (void)engine_.wait_started(1);
  Submitted queued = submit("queued");
  dispatcher_.reset();
  EXPECT_TRUE(failed_with<runner_error::Cancelled>(get(running)));
  EXPECT_TRUE(failed_with<runner_error::Cancelled>(get(queued)));
}

TEST(EstimateTokensTest, CountsPromptAndAnswer) {
  EngineRequest request;
  request.messages = {{"user", std::string(400, 'x')}};
  request.options.max_tokens = 50;
  EXPECT_EQ(estimate_tokens(request), 150U);
}

}  // namespace
}  // namespace symbiont
