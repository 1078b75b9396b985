#include "worker/batch_loop.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "worker/prompt.h"

namespace symbiont::worker {
namespace {

using ipc::fb::FailureKind;
using ipc::fb::Finish;
using std::chrono::steady_clock;

/// How often a running step looks at the channel: a look is a system call.
constexpr std::chrono::milliseconds kLookInterval{5};
constexpr std::size_t kMaxReasonBytes = 512;

ipc::Deadline deadline_of(const ipc::ExecuteRequest& request) {
  if (request.deadline_ms == 0) return std::nullopt;
  constexpr std::uint64_t kLongest = 1000ULL * 3600 * 24 * 365;
  return steady_clock::now() + std::chrono::milliseconds(std::min(request.deadline_ms, kLongest));
}

}  // namespace

BatchLoop::BatchLoop(ipc::Channel& channel, LlamaEngine& engine)
    : channel_(channel),
      engine_(engine),
      context_tokens_(engine.describe().context_tokens),
      places_(engine),
      batch_(places_) {}

Status BatchLoop::run() {
  while (true) {
    Status status = read_frames(pending_.empty() && active_.empty());
    if (status.has_value()) status = admit();
    if (status.has_value()) status = end_stopping();
    if (status.has_value()) status = channel_.flush();
    if (status.has_value() && !active_.empty()) status = step();
    if (status.has_value()) status = channel_.flush();
    if (status.has_value()) continue;
    if (status.error().code() == ErrorCode::Unavailable) return {};
    return status;
  }
}

// Frames -----------------------------------------------------------------------------------------

Status BatchLoop::read_frames(bool wait) {
  while (wait || channel_.has_input()) {
    SYMBIONT_TRY_STATUS(read_frame());
    wait = false;
  }
  return {};
}

Status BatchLoop::read_frame() {
  SYMBIONT_TRY(const ipc::fb::Frame* frame, channel_.receive(std::nullopt));
  if (const auto* execute = frame->body_as_Execute()) return queue(*execute);
  if (const auto* cancelled = frame->body_as_Cancel()) {
    cancel(cancelled->id());
    return {};
  }
  return fail(ErrorCode::DataCorrupt,
              fmt::format("unexpected frame {}", ipc::fb::EnumNameBody(frame->body_type())));
}

Status BatchLoop::queue(const ipc::fb::Execute& execute) {
  const std::uint64_t id = execute.id();
  Result<ipc::ExecuteRequest> request = ipc::read_execute(execute);
  if (!request.has_value()) {
    if (id == 0) return fail(std::move(request).error());
    return send_failed({.kind = FailureKind::InvalidRequest, .message = request.error().message()},
                       id);
  }
  if (pending_.size() >= kMaxPending) {
    return send_failed({.kind = FailureKind::InvalidRequest,
                        .message = fmt::format("{} executions are waiting already", kMaxPending),
                        .limit = kMaxPending},
                       id);
  }
  const ipc::Deadline deadline = deadline_of(*request);
  pending_.emplace_back(*std::move(request), deadline);
  return {};
}

void BatchLoop::cancel(std::uint64_t id) {
  for (Executions* executions : {&pending_, &active_}) {
    const auto found = std::ranges::find(*executions, id, &Execution::id);
    if (found != executions->end()) found->cancel();
  }
}

Status BatchLoop::send_token(Execution& execution,
                             std::string_view text,
                             std::span<const ipc::Candidate> logprobs) {
  if (text.empty() && logprobs.empty()) return {};
  ipc::encode_token(builder_, execution.id(), text, logprobs);
  return channel_.send_later(builder_);
}

Status BatchLoop::send_failed(Failure failure, std::uint64_t id) {
  failure.id = id;
  if (failure.message.size() > kMaxReasonBytes) failure.message.resize(kMaxReasonBytes);
  ipc::encode_failed(builder_, failure);
  return channel_.send_later(builder_);
}

// Places in the context --------------------------------------------------------------------------

Status BatchLoop::admit() {
  while (!pending_.empty() && places_.has_idle()) {
    const auto first = pending_.begin();
    bool over = false;
    if (first->is_new()) SYMBIONT_TRY_STATUS(prepare(*first, over));
    if (over) {
      pending_.erase(first);
      continue;
    }
    if (!places_.make_room_for(*first) && !active_.empty()) return {};
    places_.place(*first);
    active_.splice(active_.end(), pending_, first);
  }
  return {};
}

/// Tokenizes the prompt and makes the sampler. `over`: that was all, and the caller has been told.
Status BatchLoop::prepare(Execution& execution, bool& over) {
  over = true;
  Failure failure;
  try {
    auto read = read_prompt(execution);
    if (read.has_value() && execution.request().only_count) {
      ipc::encode_done(builder_, execution.done(Finish::Stop));
      return channel_.send_later(builder_);
    }
    if (read.has_value()) {
      over = false;
      return {};
    }
    failure = std::move(read).error();
  } catch (const std::bad_alloc&) {
    failure = {.kind = FailureKind::OutOfMemory, .message = "out of memory while reading a prompt"};
  } catch (const std::exception& error) {
    failure = {.message = error.what()};
  }
  return send_failed(std::move(failure), execution.id());
}

Outcome<void> BatchLoop::read_prompt(Execution& execution) {
  const ipc::ExecuteRequest& request = execution.request();
  if (execution.is_embedding()) {
    if (engine_.describe().embedding_size == 0) {
      return std::unexpected(Failure{.kind = FailureKind::InvalidRequest,
                                     .message = "this model makes no embeddings"});
    }
    auto inputs = build_embedding_inputs(engine_, request);
    if (!inputs.has_value()) return std::unexpected(std::move(inputs).error());
    execution.set_inputs(std::move(*inputs));
    return {};
  }
  auto prompt = build_prompt(engine_, request);
  if (!prompt.has_value()) return std::unexpected(std::move(prompt).error());
  if (!request.only_count) {
    auto sampler = engine_.make_sampler(request, *prompt);
    if (!sampler.has_value()) return std::unexpected(std::move(sampler).error());
    execution.set_sampler(std::move(*sampler));
  }
  execution.set_prompt(std::move(*prompt), context_tokens_);
  return {};
}

/// The one that came last gives its cells up and waits at the front.
void BatchLoop::displace_youngest() {
  const auto last = std::prev(active_.end());
  places_.displace(*last);
  pending_.splice(pending_.begin(), active_, last);
}

// Steps ------------------------------------------------------------------------------------------

/// Runs inside llama.cpp's decode, between OpenMP's barriers: nothing may be thrown from here. A
/// step is given up only when nobody wants its result.
bool BatchLoop::must_interrupt() {
  if (!broken_.has_value() || thrown_) return true;
  const auto now = steady_clock::now();
  if (now - last_look_ < kLookInterval) return false;
  last_look_ = now;
  try {
    while (broken_.has_value() && channel_.has_input())
      broken_ = read_frame();
  } catch (...) {
    thrown_ = std::current_exception();
  }
  return !broken_.has_value() || thrown_ ||
         std::ranges::all_of(batch_.owners(),
                             [now](const Execution* e) { return e->stopping(now).has_value(); });
}

Status BatchLoop::step() {
  batch_.choose_outputs(active_);
  batch_.fill(active_);
  while (!places_.make_room(batch_.tokens().size()) && active_.size() > 1) {
    displace_youngest();
    batch_.fill(active_);
  }
  if (batch_.tokens().empty()) return {};  // all of this kind gave their places up
  Failure failure;
  try {
    const auto end =
        engine_.decode(batch_.tokens(), batch_.outputs(), [this] { return must_interrupt(); });
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
    SYMBIONT_TRY_STATUS(std::exchange(broken_, Status()));
    if (end.has_value() && *end == DecodeEnd::Done) return sample_batch();
    batch_.drop();
    if (end.has_value()) return make_up_for(*end);
    failure = end.error();
  } catch (const std::bad_alloc&) {
    batch_.drop();
    failure = {.kind = FailureKind::OutOfMemory, .message = "out of memory while answering"};
  } catch (const std::exception& error) {
    batch_.drop();
    failure = {.message = error.what()};
  }
  return fail_active(failure);
}

Status BatchLoop::sample_batch() {
  batch_.keep();
  if (batch_.outputs() == Outputs::Embeddings) return pool_batch();
  for (std::size_t i = 0; i < batch_.tokens().size(); ++i) {
    if (batch_.tokens()[i].wants_logits) SYMBIONT_TRY_STATUS(sample(*batch_.owners()[i], i));
  }
  return {};
}

Status BatchLoop::pool_batch() {
  for (std::size_t i = 0; i < batch_.tokens().size(); ++i) {
    Execution& execution = *batch_.owners()[i];
    const std::span<const float> vector = engine_.embedding(i);
    if (vector.empty()) throw std::runtime_error("the engine made no embedding");
    execution.add_vector(vector, engine_.pooling());
    const bool is_last = batch_.tokens()[i].position + 1 == execution.tokens().size();
    if (is_last) SYMBIONT_TRY_STATUS(end_input(execution));
  }
  return {};
}

Status BatchLoop::end_input(Execution& execution) {
  places_.forget_all(execution.sequence());
  const std::vector<float> embedding = execution.take_embedding();
  if (!std::ranges::all_of(embedding, [](float value) { return std::isfinite(value); })) {
    const std::uint64_t id = execution.id();
    remove(find(execution));
    return send_failed({.message = "the model's embedding of a text is no number"}, id);
  }
  ipc::encode_embedding(builder_, execution.id(), execution.input(), embedding);
  SYMBIONT_TRY_STATUS(channel_.send_later(builder_));
  if (execution.next_input()) return {};
  return finish(find(execution), Finish::Stop);
}

/// After a decode that put nothing in: the next step tries again, with one less where there was no
/// room.
Status BatchLoop::make_up_for(DecodeEnd end) {
  if (end == DecodeEnd::Interrupted) return {};
  if (active_.size() == 1) return fail_active({.message = "the context has no room for a step"});
  displace_youngest();
  return {};
}

Status BatchLoop::sample(Execution& execution, std::size_t index) {
  TokenId token = 0;
  try {
    token = execution.sampler().sample(index);
  } catch (const std::runtime_error& error) {  // a grammar that leads nowhere
    const std::uint64_t id = execution.id();
    remove(find(execution));
    return send_failed({.kind = FailureKind::InvalidRequest, .message = error.what()}, id);
  }
  std::vector<ipc::Candidate> logprobs;
  const bool is_end = engine_.is_end(token);
  if (const std::int8_t top = execution.request().top_logprobs; top >= 0 && !is_end)
    logprobs = engine_.logprobs(index, token, static_cast<std::uint8_t>(top));
  const Execution::Step step = execution.add(token, is_end, engine_.piece(token));
  SYMBIONT_TRY_STATUS(send_token(execution, step.shown, logprobs));
  if (step.finish) return finish(find(execution), *step.finish);
  return {};
}

Executions::iterator BatchLoop::find(Execution& execution) {
  return std::ranges::find(active_, execution.id(), &Execution::id);
}

Status BatchLoop::finish(Executions::iterator at, Finish how) {
  SYMBIONT_TRY_STATUS(send_token(*at, at->rest(), {}));
  ipc::encode_done(builder_, at->done(how));
  remove(at);
  return channel_.send_later(builder_);
}

void BatchLoop::remove(Executions::iterator at) {
  if (!at->has_place()) {
    pending_.erase(at);
    return;
  }
  places_.release(*at);
  active_.erase(at);
}

Status BatchLoop::end_stopping() {
  const auto now = steady_clock::now();
  for (Executions* executions : {&pending_, &active_}) {
    for (auto at = executions->begin(); at != executions->end();) {
      const auto current = at++;
      if (const auto why = current->stopping(now)) SYMBIONT_TRY_STATUS(finish(current, *why));
    }
  }
  return {};
}

Status BatchLoop::fail_active(const Failure& failure) {
  while (!active_.empty()) {
    const auto first = active_.begin();
    const std::uint64_t id = first->id();
    places_.forget_all(first->sequence());
    remove(first);
    SYMBIONT_TRY_STATUS(send_failed(failure, id));
  }
  return {};
}

}  // namespace symbiont::worker
