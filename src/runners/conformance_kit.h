#ifndef SYMBIONT_RUNNERS_CONFORMANCE_KIT_H_
#define SYMBIONT_RUNNERS_CONFORMANCE_KIT_H_

// The host's side of a conversation that forgives all it can, so that each check looks at its own
// rule: what an EngineSession kills an engine for is noted here, and the conversation goes on.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "symbiont/execution.h"

#include "runners/conformance.h"

namespace symbiont::conformance {

/// What a check, or a step of it, came to.
struct Finding {
  Outcome outcome = Outcome::Ok;
  std::string detail;
  std::string remedy;
};
[[nodiscard]] Finding ok(std::string detail = {});
[[nodiscard]] Finding failed(std::string detail, std::string remedy = {});
[[nodiscard]] Finding skipped(std::string detail);

/// One request and what came back. Messages of any id are taken for its own.
struct Exchange {
  enum class End : std::uint8_t {
    Done,
    Error,
    Flood,   ///< far more tokens than were asked for; the engine was given up
    Broken,  ///< it died, was late, or said too much at once: `problem` says what
  };
  std::uint64_t id = 0;
  std::uint32_t max_tokens = 0;
  bool over = false;
  End end = End::Broken;
  std::uint32_t tokens = 0;
  std::optional<engine_protocol::Done> done;  ///< absent when its fields were wrong
  engine_protocol::Failed error;
  std::string foreign;  ///< the first message of another id
  Finding problem;
};

/// What an engine said in the wrong place or form, counted. `first` is shown.
struct Tally {
  std::size_t count = 0;
  std::string first;
  void add(std::string what);
};

/// One engine at a time, started again when a check needs one and there is none.
class Kit {
 public:
  Kit(const StartEngine& start, const Bounds& bounds) : start_(start), bounds_(bounds) {}

  /// Starts an engine unless one lives and is idle. A Fail says why there is none.
  [[nodiscard]] Finding ensure_engine();
  /// False once it ended or was given up.
  [[nodiscard]] bool has_engine() const { return engine_ != nullptr; }
  /// From now on ensure_engine() starts another one each time: what answers once must not fail
  /// every check that comes after.
  void start_each_anew() { each_anew_ = true; }
  [[nodiscard]] bool starts_each_anew() const { return each_anew_; }
  /// Sends a request to the engine there is and reads what comes back.
  [[nodiscard]] Exchange ask(std::string_view prompt, std::uint32_t max_tokens = kFewTokens);
  /// The line of an execution, for begin().
  [[nodiscard]] std::string request(std::span<const ChatMessage> messages,
                                    std::uint32_t max_tokens) const;
  /// Sends `line`, the request of next_id(). The exchange may be over: nobody reads.
  [[nodiscard]] Exchange begin(std::string_view line, std::uint32_t max_tokens);
  /// Reads until the exchange is over, which it is at the latest after `time`.
  void finish(Exchange& exchange, std::chrono::milliseconds time);
  /// Reads until the first token, the end of the exchange, or for `time`.
  void read_first(Exchange& exchange, std::chrono::milliseconds time);
  /// What an idle engine says within `time`; nullopt: nothing. The end of the engine counts only
  /// with `dying`.
  [[nodiscard]] std::optional<Finding> listen(std::chrono::milliseconds time, bool dying);
  /// The first message, for lines that are answered out of any execution.
  [[nodiscard]] std::optional<engine_protocol::Message> reply(Finding& problem);
  /// Sends what is no request. A Fail: nobody reads.
  [[nodiscard]] Finding say(std::string_view line);
  /// Ends its input and waits. The engine is gone afterwards.
  [[nodiscard]] Finding end_input();

  [[nodiscard]] std::uint64_t next_id() const { return next_id_; }
  [[nodiscard]] const Bounds& bounds() const { return bounds_; }
  [[nodiscard]] const engine_protocol::Ready& ready() const { return ready_; }
  [[nodiscard]] const ControlReport& controls() const { return controls_; }
  /// Why a start failed, once one did.
  [[nodiscard]] const std::optional<SandboxError>& start_error() const { return start_error_; }

  Tally strays;     ///< no message of the protocol, or one that is out of turn
  Tally bad_dones;  ///< a 'done' without its fields
  Tally bad_bytes;  ///< lines that are not UTF-8

  static constexpr std::uint32_t kFewTokens = 64;

 private:
  [[nodiscard]] Finding wait_until_ready();
  /// One line, or what came instead of it; false: nothing until `by`.
  [[nodiscard]] bool step(Exchange& exchange, EngineChannel::TimePoint by);
  void take(Exchange& exchange, std::string_view line);
  /// Parses, and tallies what is none of the protocol's.
  [[nodiscard]] std::optional<engine_protocol::Message> message_of(std::string_view line,
                                                                   bool& bad_end);
  /// Why the engine ended, and what to do; it is gone afterwards.
  [[nodiscard]] Finding died(bool was_ready = true);
  [[nodiscard]] Finding late(std::string_view what, std::chrono::milliseconds bound);
  [[nodiscard]] Finding too_long();

  const StartEngine& start_;
  const Bounds bounds_;
  std::unique_ptr<EngineChannel> engine_;
  engine_protocol::Ready ready_;
  ControlReport controls_;
  std::optional<SandboxError> start_error_;
  std::uint64_t next_id_ = 1;
  bool each_anew_ = false;
};

}  // namespace symbiont::conformance

#endif  // SYMBIONT_RUNNERS_CONFORMANCE_KIT_H_
