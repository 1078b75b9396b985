// What a worker sends, on the session's reader thread.

#include <poll.h>

#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include "runners/worker_session.h"
#include "runners/worker_session_running.h"

namespace symbiont {
namespace {

using std::chrono::steady_clock;

/// How long a frame may take once its first byte is there, before the end is looked at.
constexpr std::chrono::milliseconds kFrameSlice{50};

/// What they take here.
std::size_t held_bytes(const std::vector<ipc::Candidate>& candidates) {
  std::size_t bytes = sizeof(TokenLogprobs);
  for (const ipc::Candidate& candidate : candidates)
    bytes += sizeof(TokenProbability) + candidate.piece.size();
  return bytes;
}

TokenLogprobs to_logprobs(const std::vector<ipc::Candidate>& candidates) {
  TokenLogprobs logprobs{{candidates.front().piece, candidates.front().logprob}, {}};
  for (const ipc::Candidate& candidate : std::span(candidates).subspan(1))
    logprobs.top.push_back({candidate.piece, candidate.logprob});
  return logprobs;
}

}  // namespace

void WorkerSession::read_frames() {
  while (usable_) {
    if (!channel_.has_read_ahead()) {
      std::array<pollfd, 2> entries{{{channel_.fd(), POLLIN, 0}, {stop_reading_.get(), POLLIN, 0}}};
      if (::poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR) return end({}, {});
      if (entries[1].revents != 0) return;
      if (entries[0].revents == 0) continue;
    }
    const auto frame = channel_.receive(steady_clock::now() + kFrameSlice);
    if (frame.has_value()) {
      auto event = to_event(**frame);
      if (!event.has_value()) return end(VerdictKind::Killed, event.error().message());
      dispatch(*event);
    } else if (frame.error().code() == ErrorCode::Unavailable) {
      return end({});
    } else if (frame.error().code() != ErrorCode::DeadlineExceeded) {  // that: part of a frame
      return end(VerdictKind::Killed, frame.error().message());
    }
  }
}

void WorkerSession::dispatch(const WorkerEvent& event) {
  std::string wrong;
  Running* shown = nullptr;
  {
    const MutexLock lock(mutex_);
    if (ending_) return;
    wrong = take(event);
    if (wrong.empty()) shown = start_showing(event);
  }
  if (!wrong.empty()) return end(VerdictKind::Killed, std::move(wrong));
  if (shown == nullptr) return;
  show(*shown);
  const MutexLock lock(mutex_);
  shown->is_showing = false;
  if (ending_ || shown->sink_refused) shown->changed.notify_one();  // all that it may wait for
}

WorkerSession::Running* WorkerSession::start_showing(const WorkerEvent& event) {
  const auto* token = std::get_if<WorkerToken>(&event);
  if (token == nullptr) return nullptr;
  Running* running = running_.at(token->id);
  if (!running->options.sink_on_any_thread) {
    running->changed.notify_one();
    return nullptr;
  }
  running->is_showing = true;
  return running;
}

std::string WorkerSession::take(const WorkerEvent& event) {
  if (const auto* token = std::get_if<WorkerToken>(&event)) return take_token(*token);
  if (const auto* made = std::get_if<WorkerEmbedding>(&event)) return take_embedding(*made);
  std::uint64_t id = 0;
  if (const auto* done = std::get_if<WorkerDone>(&event)) id = done->id;
  if (const auto* report = std::get_if<WorkerFailed>(&event)) id = report->id;
  const auto at = running_.find(id);
  if (id == 0 || at == running_.end()) return "an unexpected frame during an execution";
  Running& running = *at->second;
  if (running.done || running.failure) return "a second end of one execution";
  if (const auto* done = std::get_if<WorkerDone>(&event)) {
    if (std::string wrong = check_done(running, *done); !wrong.empty()) return wrong;
    running.done = *done;
  } else {
    running.failure = std::get<WorkerFailed>(event);
  }
  running.changed.notify_one();
  return {};
}

std::string WorkerSession::check_done(const Running& running, const WorkerDone& done) const {
  const bool embed = running.options.embed;
  const std::uint32_t most_new = embed ? 0 : running.options.max_tokens;
  const std::uint64_t most_read =
      std::uint64_t{ready_.context_tokens} * (embed ? running.messages : std::size_t{1});
  if (done.usage.completion_tokens > most_new || done.usage.prompt_tokens > most_read)
    return "token counts that cannot be";
  if (done.stop && *done.stop >= running.options.stop.size())
    return "a stop string that nobody asked for";
  const bool is_whole =
      done.finish == ipc::fb::Finish::Stop || done.finish == ipc::fb::Finish::Length;
  if (embed && is_whole && running.embeddings.size() != running.messages)
    return "an end before the last embedding";
  return {};
}

std::string WorkerSession::take_embedding(const WorkerEmbedding& embedding) {
  const auto at = running_.find(embedding.id);
  if (at == running_.end()) return "an embedding for another execution";
  Running& running = *at->second;
  if (running.done || running.failure) return "an embedding after the end";
  const bool is_next = running.options.embed && embedding.index == running.embeddings.size() &&
                       embedding.index < running.messages;
  if (!is_next) return "an embedding that nobody asked for";
  if (embedding.values.empty() || embedding.values.size() != ready_.embedding_size)
    return "an embedding of another size";
  running.embeddings.push_back(embedding.values);
  return {};
}

std::string WorkerSession::take_token(const WorkerToken& token) {
  const auto at = running_.find(token.id);
  if (at == running_.end()) return "text for another execution";
  Running& running = *at->second;
  if (running.done || running.failure) return "text after the end";
  if (running.options.embed) return "text instead of embeddings";
  if (++running.token_frames > running.options.max_tokens + kExtraTokenFrames) {
    return "more tokens than were asked for";
  }
  running.response_bytes += token.text.size();
  if (running.response_bytes > kMaxResponseBytes) return "an answer above 16 MiB";
  if (!running.first_token) running.first_token = steady_clock::now();
  running.arrived += token.text;
  if (!token.logprobs.empty()) {
    const auto asked = running.options.top_logprobs;
    if (!asked || token.logprobs.size() > *asked + 1U) return "probabilities that nobody asked for";
    running.logprob_bytes += held_bytes(token.logprobs);
    if (running.logprob_bytes > kMaxLogprobBytes) return "probabilities above 64 MiB";
    running.logprobs.push_back(to_logprobs(token.logprobs));
  }
  return {};
}

}  // namespace symbiont
