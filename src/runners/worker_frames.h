#ifndef SYMBIONT_RUNNERS_WORKER_FRAMES_H_
#define SYMBIONT_RUNNERS_WORKER_FRAMES_H_

// What a worker says, which is hostile, as checked values.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "symbiont/execution.h"

#include "base/result.h"
#include "ipc/frames_generated.h"
#include "ipc/messages.h"

namespace symbiont {

inline constexpr std::size_t kMaxFailureText = 1024;  ///< bytes of a worker's own words we repeat

struct WorkerLocked {};
struct WorkerProgress {
  float fraction = 0;
};
struct WorkerReady {
  std::uint32_t context_tokens = 0;
  std::uint16_t max_sequences = 1;
  std::string engine;
  std::uint32_t embedding_size = 0;  ///< 0: it makes none
};
struct WorkerToken {
  std::uint64_t id = 0;
  std::string_view text;                 ///< UTF-8; valid until the channel's next call
  std::vector<ipc::Candidate> logprobs;  ///< bounded in number and size; finite
};
struct WorkerEmbedding {
  std::uint64_t id = 0;
  std::uint32_t index = 0;
  std::vector<float> values;  ///< bounded in number; finite
};
struct WorkerDone {
  std::uint64_t id = 0;
  ipc::fb::Finish finish = ipc::fb::Finish::Stop;
  TokenUsage usage;
  std::uint64_t prefill_us = 0;
  std::uint64_t decode_us = 0;
  std::optional<std::size_t> stop;  ///< index of a stop string, whether or not there is such a one
};
struct WorkerFailed {
  std::uint64_t id = 0;
  ipc::fb::FailureKind kind = ipc::fb::FailureKind::Internal;
  std::string message;  ///< printable ASCII, bounded
  std::uint64_t needed = 0;
  std::uint64_t limit = 0;
};
using WorkerEvent = std::variant<WorkerLocked,
                                 WorkerProgress,
                                 WorkerReady,
                                 WorkerToken,
                                 WorkerEmbedding,
                                 WorkerDone,
                                 WorkerFailed>;

/// Checks one frame on its own: a kind that workers send, enumerators in range, UTF-8. DataCorrupt
/// says what is wrong.
[[nodiscard]] Result<WorkerEvent> to_event(const ipc::fb::Frame& frame);

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_WORKER_FRAMES_H_
