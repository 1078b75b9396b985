#ifndef SYMBIONT_BROKER_PUMP_H_
#define SYMBIONT_BROKER_PUMP_H_

// One direction of a connection.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "broker/stream_filter.h"
#include "broker/throttle.h"

namespace symbiont::broker {

/// Most bytes that one direction holds back for a slow reader, and that one read asks for.
inline constexpr std::size_t kMaxPendingBytes = 256 * 1024;

/// A socket watched edge-triggered: what the last event or the last call said it can do.
struct Endpoint {
  UniqueFd fd;
  bool is_readable = false;
  bool is_writable = false;
  bool is_broken = false;  ///< the kernel reported an error
};

/// What moving bytes needs beside the sockets. Valid for one call.
struct Flow {
  Throttle& throttle;
  Clock::time_point now;
  std::span<char> scratch;  ///< kMaxPendingBytes, shared by all: idle connections hold no buffer
  StreamFilter* filter = nullptr;
  std::uint64_t moved = 0;  ///< out: bytes of the source that reached the sink
};

class Pump {
 public:
  enum class State : std::uint8_t {
    Waiting,       ///< for an event of one of the sockets
    MoreToDo,      ///< has had its share of the loop's time
    Throttled,     ///< for bandwidth
    SourceBroken,  ///< reset by whoever sends
    SinkBroken,    ///< nobody reads any more
    Refused,       ///< by the filter
  };

  /// Puts bytes in front of what is read later: of the stream (counted), or the broker's own.
  void enqueue(std::string_view bytes);
  void enqueue_own(std::string_view bytes);

  /// Moves what can be moved now, and passes the end of the stream on.
  [[nodiscard]] State run(Endpoint& from, Endpoint& to, Flow& flow);
  /// Sends what was enqueued, reads nothing. False when the sink is broken.
  [[nodiscard]] bool flush(Endpoint& to, Flow& flow);

  /// Reads no more; what is pending is still sent, and the sink is not told that it was the end.
  void end_quietly() { has_ended_ = is_shut_ = true; }
  /// Reads and sends no more.
  void abandon();
  [[nodiscard]] std::size_t pending_bytes() const { return pending_.size() - sent_; }
  [[nodiscard]] bool has_pending() const { return sent_ < pending_.size(); }
  /// The source has ended and all of it has been sent.
  [[nodiscard]] bool is_finished() const { return has_ended_ && !has_pending(); }
  [[nodiscard]] bool has_ended() const { return has_ended_; }

 private:
  [[nodiscard]] State read_once(Endpoint& from, Endpoint& to, Flow& flow);
  [[nodiscard]] bool send_all(Endpoint& to, std::string_view& bytes);

  std::string pending_;
  std::size_t sent_ = 0;       ///< of pending_
  std::size_t own_bytes_ = 0;  ///< of pending_, not the stream's
  bool has_ended_ = false;
  bool is_shut_ = false;
};

}  // namespace symbiont::broker

#endif  // SYMBIONT_BROKER_PUMP_H_
