#include "runners/worker_frames.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "runners/utf8.h"

namespace symbiont {
namespace {

namespace fb = ipc::fb;

constexpr std::size_t kMaxEngineText = 128;

std::unexpected<Error> bad(std::string what) {
  return fail(ErrorCode::DataCorrupt, std::move(what));
}

Result<WorkerEvent> from_progress(const fb::Progress& progress) {
  const float fraction = progress.fraction();
  if (!std::isfinite(fraction) || fraction < 0.0F || fraction > 1.0F) {
    return bad("load progress is not within 0 .. 1");
  }
  return WorkerProgress{fraction};
}

Result<WorkerEvent> from_ready(const fb::Ready& ready) {
  if (ready.context_tokens() == 0) return bad("a context of 0 tokens");
  if (ready.max_sequences() == 0 || ready.max_sequences() > ipc::kMaxSequences) {
    return bad("a number of sequences that cannot be");
  }
  if (ready.embedding_size() > ipc::kMaxEmbeddingValues)
    return bad("embeddings that are too large");
  WorkerReady event{ready.context_tokens(), ready.max_sequences(), {}, ready.embedding_size()};
  if (ready.engine() != nullptr) {
    event.engine = printable(ready.engine()->string_view(), kMaxEngineText);
  }
  return event;
}

Result<WorkerEvent> from_token(const fb::Token& token) {
  if (token.text() == nullptr) return bad("a token without text");
  const std::string_view text = token.text()->string_view();
  if (first_invalid_utf8(text) != text.size()) return bad("a token that is not UTF-8");
  std::vector<ipc::Candidate> logprobs = ipc::read_logprobs(token);
  const bool finite = std::ranges::all_of(logprobs, [](const ipc::Candidate& c) {
    return c.logprob <= 0.0F && !std::isnan(c.logprob);
  });
  if (!finite) return bad("a probability above 1");
  return WorkerToken{token.id(), text, std::move(logprobs)};
}

Result<WorkerEvent> from_embedding(const fb::Embedding& embedding) {
  const auto* values = embedding.values();
  if (values == nullptr || values->size() > ipc::kMaxEmbeddingValues)
    return bad("an embedding of a size that cannot be");
  WorkerEmbedding event{embedding.id(), embedding.index(), {values->begin(), values->end()}};
  if (!std::ranges::all_of(event.values, [](float value) { return std::isfinite(value); }))
    return bad("an embedding that is no number");
  return event;
}

Result<WorkerEvent> from_done(const fb::Done& done) {
  if (done.finish() < fb::Finish::MIN || done.finish() > fb::Finish::MAX) {
    return bad("an unknown reason for the end");
  }
  if (done.cached_tokens() > done.prompt_tokens()) return bad("more cached than prompt tokens");
  if (done.stop() < -1 || (done.stop() >= 0 && done.finish() != fb::Finish::Stop)) {
    return bad("a stop string that cannot be");
  }
  WorkerDone event{done.id(),
                   done.finish(),
                   {done.prompt_tokens(), done.completion_tokens(), done.cached_tokens()},
                   done.prefill_us(),
                   done.decode_us(),
                   std::nullopt};
  if (done.stop() >= 0) event.stop = static_cast<std::size_t>(done.stop());
  return event;
}

Result<WorkerEvent> from_failed(const fb::Failed& failed) {
  if (failed.kind() < fb::FailureKind::MIN || failed.kind() > fb::FailureKind::MAX) {
    return bad("an unknown kind of failure");
  }
  WorkerFailed event{failed.id(), failed.kind(), {}, failed.needed(), failed.limit()};
  if (failed.message() != nullptr) {
    event.message = printable(failed.message()->string_view(), kMaxFailureText);
  }
  return event;
}

}  // namespace

Result<WorkerEvent> to_event(const fb::Frame& frame) {
  if (frame.body() == nullptr) return bad("a frame without a body");
  switch (frame.body_type()) {
    case fb::Body::Locked:
      return WorkerLocked{};
    case fb::Body::Progress:
      return from_progress(*frame.body_as_Progress());
    case fb::Body::Ready:
      return from_ready(*frame.body_as_Ready());
    case fb::Body::Token:
      return from_token(*frame.body_as_Token());
    case fb::Body::Embedding:
      return from_embedding(*frame.body_as_Embedding());
    case fb::Body::Done:
      return from_done(*frame.body_as_Done());
    case fb::Body::Failed:
      return from_failed(*frame.body_as_Failed());
    default:
      return bad("a frame that workers do not send");
  }
}

}  // namespace symbiont
