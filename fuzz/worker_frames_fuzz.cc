// Frames of a hostile worker as the runner understands them: what becomes an event keeps what the
// session, results and logs rely on.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <variant>
#include <vector>

#include "ipc/channel.h"
#include "runners/utf8.h"
#include "runners/worker_frames.h"

namespace {

using namespace symbiont;  // NOLINT(google-build-using-namespace): one program, one subject

void require(bool truth) {
  if (!truth) std::abort();
}

void require_printable(std::string_view text, std::size_t max_bytes) {
  require(text.size() <= max_bytes);
  require(std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7E; }));
}

struct Check {
  void operator()(const WorkerLocked& /*event*/) const {}
  void operator()(const WorkerProgress& event) const {
    require(event.fraction >= 0.0F && event.fraction <= 1.0F);
  }
  void operator()(const WorkerReady& event) const {
    require(event.context_tokens > 0);
    require(event.max_sequences > 0 && event.max_sequences <= ipc::kMaxSequences);
    require(event.embedding_size <= ipc::kMaxEmbeddingValues);
    require_printable(event.engine, 128);
  }
  void operator()(const WorkerToken& event) const {
    require(first_invalid_utf8(event.text) == event.text.size());
    require(event.logprobs.size() <= 1 + std::size_t{ipc::kMaxTopLogprobs});
    for (const ipc::Candidate& candidate : event.logprobs)
      require(candidate.piece.size() <= ipc::kMaxPieceBytes && candidate.logprob <= 0.0F);
  }
  void operator()(const WorkerEmbedding& event) const {
    require(event.values.size() <= ipc::kMaxEmbeddingValues);
    require(std::ranges::all_of(event.values, [](float value) { return std::isfinite(value); }));
  }
  void operator()(const WorkerDone& event) const {
    require(event.finish <= ipc::fb::Finish::MAX);
    require(event.usage.cached_tokens <= event.usage.prompt_tokens);
  }
  void operator()(const WorkerFailed& event) const {
    require(event.kind <= ipc::fb::FailureKind::MAX);
    require_printable(event.message, kMaxFailureText);
  }
};

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer looks for
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::byte> bytes(size);  // aligned, and exactly as long as the input
  if (size > 0) std::memcpy(bytes.data(), data, size);
  const auto frame = ipc::decode(bytes);
  if (!frame.has_value()) return 0;
  const auto event = to_event(**frame);
  if (event.has_value()) {
    std::visit(Check{}, *event);
  } else {
    require(event.error().code() == ErrorCode::DataCorrupt);
    require(!event.error().message().empty());
  }
  return 0;
}
