#ifndef SYMBIONT_API_MAILBOX_H_
#define SYMBIONT_API_MAILBOX_H_

// What executions say, on its way from the dispatcher's threads to the loop. Bounded: a client that
// does not read makes it full, which cancels what fills it.

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "symbiont/engine.h"

#include "base/mutex.h"

namespace symbiont::api {

inline constexpr std::size_t kMaxWaitingTextBytes = std::size_t{256} << 10U;
inline constexpr std::size_t kMaxWaitingLogprobBytes = std::size_t{4} << 20U;

/// Text of one choice, or its end.
struct MailboxEvent {
  std::size_t choice = 0;
  std::string text;
  std::vector<TokenLogprobs> logprobs;  ///< of the text's tokens
  std::optional<Engine::Outcome> outcome;
};

/// Threads: put_* from any, the rest from one.
class Mailbox {
 public:
  /// `wake` is called when something is there after nothing was, by a put that began before
  /// close(). It must not call back.
  explicit Mailbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  /// False: cancel, nobody is going to read it.
  [[nodiscard]] bool put_text(std::size_t choice, const TextPiece& piece);
  void put_end(std::size_t choice, Engine::Outcome outcome);
  /// Everything there is, in order; pieces of one choice that follow each other are one.
  [[nodiscard]] std::vector<MailboxEvent> take();
  void close();

 private:
  const std::function<void()> wake_;
  Mutex mutex_;
  std::vector<MailboxEvent> events_ SYMBIONT_GUARDED_BY(mutex_);
  std::size_t bytes_ SYMBIONT_GUARDED_BY(mutex_) = 0;
  std::size_t logprob_bytes_ SYMBIONT_GUARDED_BY(mutex_) = 0;
  bool is_closed_ SYMBIONT_GUARDED_BY(mutex_) = false;
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_MAILBOX_H_
