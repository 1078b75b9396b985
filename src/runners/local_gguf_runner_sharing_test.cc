#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "runners/local_gguf_runner_for_test.h"

namespace symbiont {
namespace {

using namespace std::chrono_literals;
using testing::answering;
using testing::FakeWorker;
using testing::kind_of;
using testing::LocalGgufRunnerTest;
using testing::serving;

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

TEST_F(LocalGgufRunnerTest, AnIdleWorkerIsHeldToWhatItWasMeasuredToHold) {
  auto runner = make(answering({"a"}));
  launcher_->peak_memory_bytes = 3000;
  ASSERT_TRUE(runner->execute("p").has_value());
  EXPECT_EQ(launcher_->last_memory_limits(), (std::vector<std::uint64_t>{3000}));
  ASSERT_TRUE(runner->execute("p").has_value());
  EXPECT_EQ(launcher_->last_memory_limits(), (std::vector<std::uint64_t>{3000, 0, 3000}));
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
