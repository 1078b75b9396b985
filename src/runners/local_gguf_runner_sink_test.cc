#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

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

/// What every sink may rely on, whichever thread it is called from.
class SinkTest : public LocalGgufRunnerTest, public ::testing::WithParamInterface<bool> {
 protected:
  static ExecutionOptions options() {
    ExecutionOptions options;
    options.sink_on_any_thread = GetParam();
    return options;
  }
};
INSTANTIATE_TEST_SUITE_P(Threads, SinkTest, ::testing::Bool(), [](const auto& any) {
  return any.param ? "Any" : "Callers";
});

TEST_P(SinkTest, HearsEverythingOnceAndInOrder) {
  const std::vector<std::string> words = {"a", "b", "c", "d", "e", "f"};
  auto runner = make(answering(words));
  std::string heard;
  const auto outcome = runner->execute(
      "p", options(), [&](std::string_view text) { return heard += text, true; }, {});
  ASSERT_TRUE(outcome.has_value()) << outcome.error().message();
  EXPECT_EQ(heard, "abcdef");
  EXPECT_EQ(outcome->response, "abcdef");
}

TEST_P(SinkTest, OfTheCallersThreadUnlessAnyWillDo) {
  auto runner = make(answering({"a"}));
  std::thread::id heard_on;
  const auto outcome = runner->execute("p", options(),
                                       [&](std::string_view) {
                                         heard_on = std::this_thread::get_id();
                                         return true;
                                       },
                                       {});
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(heard_on == std::this_thread::get_id(), !GetParam());
}

TEST_P(SinkTest, Cancels) {
  auto runner = make(serving([](FakeWorker& worker, const ipc::ExecuteRequest& request) {
    worker.token(request.id, "one");
    worker.wait_for_cancel();
    worker.done(request.id, ipc::fb::Finish::Cancelled, 1);
    worker.wait_for_cancel();
    return Verdict{.kind = VerdictKind::Exited};
  }));
  const auto outcome = runner->execute("p", options(), [](std::string_view) { return false; }, {});
  ASSERT_EQ(kind_of(outcome), "Cancelled");
  EXPECT_EQ(outcome.error().partial_response(), "one");
}

TEST_P(SinkTest, IsNotCalledAgainAfterItRefused) {
  auto runner = make(serving([](FakeWorker& worker, const ipc::ExecuteRequest& request) {
    for (int i = 0; i < 10; ++i)
      worker.token(request.id, "x");
    worker.wait_for_cancel();
    worker.done(request.id, ipc::fb::Finish::Cancelled, 10);
    worker.wait_for_cancel();
    return Verdict{.kind = VerdictKind::Exited};
  }));
  std::atomic<int> calls = 0;
  const auto outcome =
      runner->execute("p", options(), [&](std::string_view) { return ++calls, false; }, {});
  ASSERT_EQ(kind_of(outcome), "Cancelled");
  EXPECT_EQ(calls, 1);
}

TEST_P(SinkTest, IsLeftAloneOnceExecuteHasReturned) {
  // It is in the middle of a call when its worker dies and its time runs out.
  auto runner = make(serving([](FakeWorker& worker, const ipc::ExecuteRequest& request) {
    worker.token(request.id, "x");
    worker.token(request.id, "y");
    return Verdict{.kind = VerdictKind::Signaled, .signal = 9};
  }));
  ExecutionOptions with_timeout = options();
  with_timeout.timeout = 50ms;
  std::atomic<bool> has_returned = false;
  std::atomic<int> late_calls = 0;
  const TokenSink sink = [&](std::string_view) {  // outlives the call, or this test would not
    std::this_thread::sleep_for(150ms);           // longer than the timeout and the grace together
    if (has_returned) ++late_calls;
    return true;
  };
  const auto outcome = runner->execute("p", with_timeout, sink, {});
  has_returned = true;
  EXPECT_FALSE(outcome.has_value());
  runner.reset();  // joins the reader
  EXPECT_EQ(late_calls, 0);
}

TEST_F(LocalGgufRunnerTest, ASinkOfTheCallersThreadHoldsNobodyElseUp) {
  // The first one's sink blocks until the second one has its answer.
  auto runner = make([](FakeWorker& worker) {
    (void)worker.start_up();
    const auto first = worker.next_execute();
    if (!first) return Verdict{};
    worker.token(first->id, "x");
    const auto second = worker.next_execute();
    if (!second) return Verdict{};
    worker.token(second->id, "y");
    worker.done(second->id, ipc::fb::Finish::Stop, 1);
    worker.done(first->id, ipc::fb::Finish::Stop, 1);
    (void)worker.next_execute();
    return Verdict{.kind = VerdictKind::Exited};
  });
  std::promise<void> in_sink;
  std::promise<void> second_is_done;
  SlmRunner::Outcome first;
  std::jthread other([&] {
    first = runner->execute("a", {},
                            [&](std::string_view) {
                              in_sink.set_value();
                              return second_is_done.get_future().wait_for(10s) ==
                                     std::future_status::ready;
                            },
                            {});
  });
  in_sink.get_future().wait();
  const auto second = runner->execute("b");
  second_is_done.set_value();
  other.join();
  EXPECT_TRUE(second.has_value());
  EXPECT_TRUE(first.has_value());
}

}  // namespace
}  // namespace symbiont
