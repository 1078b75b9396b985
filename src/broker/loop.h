#ifndef SYMBIONT_BROKER_LOOP_H_
#define SYMBIONT_BROKER_LOOP_H_

// The one thread of a broker: accepts, waits for events and times, runs connections.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "broker/connection.h"

namespace symbiont::broker {

class Loop {
 public:
  struct Setup {
    UniqueFd listener;  ///< non-blocking
    Destinations destinations;
    bool require_encryption = false;
    std::uint64_t bytes_per_second = 0;  ///< 0: not limited
    std::shared_ptr<Resolver> resolver;
    Limits limits;
  };
  /// `ledger` outlives the loop. The errors are the kernel's.
  [[nodiscard]] static Result<std::unique_ptr<Loop>> create(Setup setup, Ledger& ledger);

  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  /// Until stop(); then every connection is closed.
  void run();
  /// Any thread.
  void stop();

 private:
  Loop(Setup setup, Lookups lookups, UniqueFd epoll, UniqueFd stop_event, Ledger& ledger);

  [[nodiscard]] Status watch(int fd, std::uint64_t tag) const;
  [[nodiscard]] int wait_ms(Clock::time_point now);
  void dispatch(std::uint64_t tag, std::uint32_t events, Clock::time_point now);
  void accept_all(Clock::time_point now);
  void set_accepting(bool accepting);
  void take_answers(Clock::time_point now);
  void expire(Clock::time_point now);
  void make_runnable(std::uint64_t id, Connection& connection);
  void run_ready(Clock::time_point now);
  void take_turns(Clock::time_point now);
  void run_one(std::uint64_t id, Clock::time_point now);
  void account_waiting(Clock::time_point now);

  Setup setup_;
  Ledger& ledger_;
  Lookups lookups_;
  UniqueFd epoll_;
  UniqueFd stop_event_;
  Throttle throttle_;
  std::vector<char> scratch_;
  Surroundings around_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<std::uint64_t> runnable_;
  std::uint64_t next_id_;
  bool is_stopping_ = false;
  bool is_accepting_ = true;
  std::optional<Clock::time_point> accept_again_;   ///< after the kernel had no descriptor left
  std::optional<Clock::time_point> waiting_since_;  ///< for bandwidth
};

}  // namespace symbiont::broker

#endif  // SYMBIONT_BROKER_LOOP_H_
