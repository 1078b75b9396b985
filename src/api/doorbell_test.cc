#include "api/doorbell.h"

#include <poll.h>

#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace symbiont::api {
namespace {

class DoorbellTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto bell = Doorbell::create();
    ASSERT_TRUE(bell.has_value());
    bell_ = *std::move(bell);
    auto watched = bell_->watch();
    ASSERT_TRUE(watched.has_value());
    watched_ = *std::move(watched);
  }
  std::shared_ptr<Signal> make_signal() { return std::make_shared<Signal>(loop_.get_executor()); }
  [[nodiscard]] bool has_rung() const {
    pollfd entry{.fd = watched_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, 0) == 1;
  }
  /// Whether somebody who waits for `signal` now goes on.
  bool is_notified(const std::shared_ptr<Signal>& signal) {
    bool went_on = false;
    boost::asio::co_spawn(
        loop_,
        [&went_on, signal]() -> boost::asio::awaitable<void> {
          co_await signal->wait();
          went_on = true;
        },
        boost::asio::detached);
    loop_.restart();
    loop_.poll();
    return went_on;
  }

  boost::asio::io_context loop_;
  std::shared_ptr<Doorbell> bell_;
  UniqueFd watched_;
};

TEST_F(DoorbellTest, NotifiesThoseRungForAndNobodyElse) {
  const auto rung = make_signal();
  const auto other = make_signal();
  bell_->ring(rung);
  EXPECT_TRUE(has_rung());
  bell_->answer();
  EXPECT_FALSE(has_rung());
  EXPECT_TRUE(is_notified(rung));
  EXPECT_FALSE(is_notified(other));
}

TEST_F(DoorbellTest, PassesOverWhoIsGone) {
  const auto living = make_signal();
  bell_->ring(make_signal());
  bell_->ring(living);
  bell_->answer();
  EXPECT_TRUE(is_notified(living));
}

TEST_F(DoorbellTest, LosesNoRing) {
  constexpr int kThreads = 4;
  constexpr int kRings = 5'000;
  std::vector<std::shared_ptr<Signal>> signals;
  for (int i = 0; i < kThreads * kRings; ++i)
    signals.push_back(make_signal());
  std::latch done(kThreads);
  std::vector<std::jthread> ringing;
  for (int thread = 0; thread < kThreads; ++thread) {
    ringing.emplace_back([&, thread] {
      for (int i = 0; i < kRings; ++i)
        bell_->ring(signals[static_cast<std::size_t>(thread * kRings + i)]);
      done.count_down();
    });
  }
  while (!done.try_wait() || has_rung()) {
    if (has_rung()) bell_->answer();
  }
  for (const auto& signal : signals)
    ASSERT_TRUE(is_notified(signal));
}

}  // namespace
}  // namespace symbiont::api
