#ifndef SYMBIONT_BROKER_CONNECTION_H_
#define SYMBIONT_BROKER_CONNECTION_H_

// One accepted connection from its first byte to its last.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/destination.h"
#include "broker/handshake.h"
#include "broker/ledger.h"
#include "broker/lookups.h"
#include "broker/pump.h"

namespace symbiont::broker {

/// What all connections of a broker share. Outlives them.
struct Surroundings {
  const Destinations& destinations;
  bool require_encryption;
  const Limits& limits;
  Ledger& ledger;
  Lookups& lookups;
  Throttle& throttle;
  std::span<char> scratch;
  int epoll;
};

enum class Side : std::uint8_t { Client, Upstream };

/// The number an epoll event carries for a connection's socket. Ids start at 2: smaller numbers are
/// the loop's own.
[[nodiscard]] constexpr std::uint64_t event_tag(std::uint64_t id, Side side) {
  return id * 2 + (side == Side::Upstream ? 1U : 0U);
}

/// Belongs to the loop's thread.
class Connection {
 public:
  enum class Next : std::uint8_t { Wait, RunAgain, WaitForBandwidth, Finished };

  Connection(std::uint64_t id, UniqueFd client, const Surroundings& around, Clock::time_point now);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  /// Writes the decision that is still open into the ledger.
  ~Connection();

  void on_event(Side side, std::uint32_t events);
  void on_lookup(Result<std::vector<Address>> addresses, Clock::time_point now);
  /// Does what can be done without waiting.
  [[nodiscard]] Next run(Clock::time_point now);
  /// When on_deadline() is to be called, unless run() moves it.
  [[nodiscard]] Clock::time_point deadline() const { return deadline_; }
  void on_deadline(Clock::time_point now);

  bool is_in_line = false;   ///< for bandwidth; kept by the loop
  bool is_runnable = false;  ///< in the loop's list; kept by the loop

 private:
  enum class Phase : std::uint8_t { Handshake, Resolving, Connecting, Relaying, Parting, Finished };

  [[nodiscard]] bool watch(Endpoint& endpoint, Side side) const;
  void read_handshake();
  void decide();
  void set_candidates(Result<std::vector<Address>> addresses);
  void connect_next(std::string_view failure);
  void check_connected();
  void begin_relay();
  [[nodiscard]] Next relay();
  [[nodiscard]] Pump::State pump_out();
  [[nodiscard]] Pump::State pump_in();
  void part(Failure failure, const std::string& reason);
  void begin_parting();
  void run_parting();
  void refuse(std::string reason);
  void record(bool allowed, std::string reason);
  void finish(bool reset_client = false);
  void touch() { deadline_ = now_ + around_.limits.idle_time; }

  const std::uint64_t id_;
  const Surroundings& around_;
  Clock::time_point now_;
  Clock::time_point deadline_;
  Clock::time_point connect_deadline_;
  Phase phase_ = Phase::Handshake;
  Endpoint client_;
  Endpoint upstream_;

  std::string input_;  ///< of the handshake
  Handshake handshake_;
  std::optional<Decision> decision_;  ///< open: not yet in the ledger
  Host host_;
  std::vector<Address> candidates_;
  std::size_t next_candidate_ = 0;

  Pump out_;  ///< client to upstream
  Pump in_;
  std::unique_ptr<StreamFilter> filter_;  ///< of what goes out
  bool is_in_first_ = false;              ///< the directions take turns
  bool is_parting_shut_ = false;
  std::size_t discarded_ = 0;
};

}  // namespace symbiont::broker

#endif  // SYMBIONT_BROKER_CONNECTION_H_
