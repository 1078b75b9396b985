#ifndef SYMBIONT_RUNNERS_WORKER_SESSION_RUNNING_H_
#define SYMBIONT_RUNNERS_WORKER_SESSION_RUNNING_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "runners/worker_session.h"

namespace symbiont {

/// One execution while it runs. What the reader writes is guarded by the session's mutex_.
struct WorkerSession::Running {
  const ExecutionOptions& options;
  const TokenSink& sink;
  const Patience& patience;
  ExecutionResult& result;
  std::size_t messages = 0;
  std::uint64_t id = 0;
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();

  // Written by the reader.
  std::string arrived{};  // not yet shown
  std::size_t response_bytes = 0;
  std::size_t logprob_bytes = 0;
  std::uint32_t token_frames = 0;
  std::optional<std::chrono::steady_clock::time_point> first_token{};
  std::vector<TokenLogprobs> logprobs{};  // not yet shown
  std::vector<std::vector<float>> embeddings{};
  std::optional<WorkerDone> done{};
  std::optional<WorkerFailed> failure{};
  CondVar changed{};

  // Guarded, too.
  bool is_showing = false;  // the reader is in show()
  bool sink_refused = false;
  bool cancelling = false;

  // Of the thread that shows: the reader with sink_on_any_thread, else its own. So is the result's
  // text until the end.
  std::size_t shown_logprobs = 0;

  // Touched by its own thread only.
  bool timed_out = false;
  std::chrono::steady_clock::time_point give_up =
      std::chrono::steady_clock::time_point::max();  // set by the first Cancel

  [[nodiscard]] bool is_stopped() const {
    return sink_refused || patience.stop_token.stop_requested();
  }
};

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_WORKER_SESSION_RUNNING_H_
