#include "runners/worker_session.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include <fmt/core.h>

#include "base/result.h"
#include "runners/random.h"
#include "runners/worker_end.h"
#include "runners/worker_session_running.h"

namespace symbiont {
namespace {

using std::chrono::steady_clock;

constexpr std::uint64_t kMaxAnswerValues = 1U << 20U;  // numbers of all embeddings of one answer

std::unexpected<SlmRunnerError> failed(SlmRunnerError error) {
  return std::unexpected(std::move(error));
}

double milliseconds(steady_clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

ipc::ExecuteRequest to_request(std::span<const ChatMessage> messages,
                               const ExecutionOptions& options) {
  ipc::ExecuteRequest request;
  for (const ChatMessage& message : messages)
    request.messages.push_back({.role = message.role, .content = message.content});
  request.raw = options.raw;
  request.max_tokens = options.max_tokens;
  request.temperature = options.temperature;
  request.top_p = options.top_p;
  request.top_k = options.top_k;
  request.min_p = options.min_p;
  request.repeat_penalty = options.repeat_penalty;
  request.frequency_penalty = options.frequency_penalty;
  request.presence_penalty = options.presence_penalty;
  request.seed = options.seed.value_or(random_u64());
  request.stop = options.stop;
  request.logit_bias.assign(options.logit_bias.begin(), options.logit_bias.end());
  request.grammar = options.grammar;
  request.json_schema = options.json_schema;
  request.only_count = options.only_count;
  request.embed = options.embed;
  request.truncate = options.truncate;
  if (options.top_logprobs) request.top_logprobs = static_cast<std::int8_t>(*options.top_logprobs);
  return request;
}

}  // namespace

WorkerSession::WorkerSession(StartedWorker started, WorkerSpec spec, std::string model_path)
    : spec_(std::move(spec)),
      model_path_(std::move(model_path)),
      process_(std::move(started.process)),
      channel_(std::move(started.channel)),
      ready_(std::move(started.ready)),
      idle_memory_(
          [this](std::uint64_t bytes) { return process_->limit_memory(bytes).has_value(); }),
      stop_reading_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      reader_([this] { read_frames(); }) {}

WorkerSession::~WorkerSession() {
  (void)::eventfd_write(stop_reading_.get(), 1);
  reader_.join();
}  // ~SandboxedProcess kills the tree

bool WorkerSession::is_alive() const {
  pollfd entry{channel_.fd(), 0, 0};
  return usable_ && ::poll(&entry, 1, 0) == 0;  // POLLHUP and POLLERR are always reported
}

// The end ----------------------------------------------------------------------------------------

void WorkerSession::end(std::optional<VerdictKind> reason, std::string broken_rule) {
  {
    const MutexLock lock(mutex_);
    if (std::exchange(ending_, true)) {  // another thread is at it: its verdict is ours
      while (!ended_)
        end_seen_.wait(mutex_);
      return;
    }
    usable_ = false;
    broken_rule_ = std::move(broken_rule);
  }
  if (reason) process_->kill(*reason);
  auto verdict = process_->wait_until(steady_clock::now() + kReapTimeout);
  if (!verdict && !reason) {  // it closed its channel and lives on
    reason = VerdictKind::Killed;
    process_->kill(*reason);
    verdict = process_->wait_until(steady_clock::now() + kReapTimeout);
  }
  const MutexLock lock(mutex_);
  if (verdict) {
    verdict_ = *std::move(verdict);
  } else {
    verdict_.kind = *reason;  // its end was not seen in time
  }
  if (verdict_.phase.empty()) verdict_.phase = "inference";
  ended_ = true;
  end_seen_.notify_all();
  for (const auto& [id, running] : running_)
    running->changed.notify_one();
}

SlmRunnerError WorkerSession::error_of_end(const Running& running) {
  const MutexLock lock(mutex_);
  if (!broken_rule_.empty()) {
    return SlmRunnerError(runner_error::SandboxViolation{
        fmt::format("the worker broke the protocol: {}", broken_rule_)});
  }
  if (ended_for_ && *ended_for_ != running.id) {
    return SlmRunnerError(runner_error::ExecutionFailed{
        "its worker was ended because another execution did not stop in time; try again"});
  }
  return error_from_verdict(verdict_, "inference", model_path_);
}

// Executions -------------------------------------------------------------------------------------

bool WorkerSession::send(const ipc::Builder& builder) {
  const MutexLock lock(send_mutex_);
  return channel_.send(builder, -1, steady_clock::now() + spec_.cancel_grace).has_value();
}

WorkerSession::Outcome WorkerSession::lift_idle_limit(const Running& running) {
  if (idle_memory_.begin_execution()) return {};
  end(VerdictKind::Killed);
  return failed(error_of_end(running));
}

WorkerSession::Outcome WorkerSession::send_execute(const Running& running,
                                                   std::span<const ChatMessage> messages,
                                                   std::uint64_t cache_key) {
  ipc::ExecuteRequest request = to_request(messages, running.options);
  request.id = running.id;
  request.cache_key = cache_key;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(running.patience.deadline - running.started);
  request.deadline_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(1, left.count()));
  ipc::Builder builder;
  ipc::encode_execute(builder, request);
  if (send(builder)) return {};
  // It takes nothing in: dead, or stopped.
  end(steady_clock::now() < running.patience.deadline ? VerdictKind::Killed
                                                      : VerdictKind::TimeLimit);
  return failed(error_of_end(running));
}

/// How large an embedding is, the worker has claimed: all of an answer must stay small.
WorkerSession::Outcome WorkerSession::check_answer_size(const Running& running) const {
  const std::uint64_t values = std::uint64_t{ready_.embedding_size} * running.messages;
  if (!running.options.embed || values <= kMaxAnswerValues) return {};
  return failed(SlmRunnerError(runner_error::InvalidInput{
      "input", fmt::format("{} texts; this model's embeddings have {} values, and an answer has at "
                           "most {}: send at most {} texts",
                           running.messages, ready_.embedding_size, kMaxAnswerValues,
                           kMaxAnswerValues / ready_.embedding_size)}));
}

WorkerSession::Outcome WorkerSession::execute(std::span<const ChatMessage> messages,
                                              const ExecutionOptions& options,
                                              std::uint64_t cache_key,
                                              const TokenSink& sink,
                                              const Patience& patience,
                                              ExecutionResult& result) {
  Running running{options, sink, patience, result, messages.size()};
  {
    const MutexLock lock(mutex_);
    running.id = next_id_++;
    running_.emplace(running.id, &running);
  }
  Outcome outcome = check_answer_size(running);
  if (const Outcome lifted = lift_idle_limit(running); outcome.has_value()) outcome = lifted;
  if (outcome.has_value()) outcome = send_execute(running, messages, cache_key);
  if (outcome.has_value()) outcome = follow(running);
  if (outcome.has_value() && running.cancelling) {
    outcome =
        failed(running.timed_out ? SlmRunnerError(runner_error::ExecutionTimeout{patience.limit})
                                 : SlmRunnerError(runner_error::Cancelled{}));
  }
  Verdict verdict;
  {
    const MutexLock lock(mutex_);
    running_.erase(running.id);
    while (running.is_showing)
      running.changed.wait(mutex_);
    verdict = verdict_;
  }
  if (running.first_token)
    result.metadata.timing.first_token_ms = milliseconds(*running.first_token - running.started);
  if (outcome.has_value()) result.embeddings = std::move(running.embeddings);
  fill_from_process(*process_, verdict, spec_.policy.memory_bytes, result.metadata);
  if (!idle_memory_.end_execution(result.metadata.resources.peak_memory_bytes))
    end(VerdictKind::Killed);
  if (!outcome.has_value()) {
    result.metadata.finish_reason =
        outcome.error().get_if<runner_error::ExecutionTimeout>() != nullptr ? "timeout"
        : outcome.error().get_if<runner_error::Cancelled>() != nullptr      ? "cancelled"
                                                                            : "error";
  }
  return outcome;
}

/// Shows text as it arrives until the execution is over, one way or another.
WorkerSession::Outcome WorkerSession::follow(Running& running) {
  // The callback takes the mutex: it is made before and destroyed after the locks below.
  const std::stop_callback wake(running.patience.stop_token, [this, &running] {
    const MutexLock lock(mutex_);
    running.changed.notify_one();
  });
  bool over = false;
  while (!over) {
    over = wait_for_change(running);
    if (over || !running.options.sink_on_any_thread) show(running);
    if (over || !is_unwanted(running)) continue;
    if (!running.cancelling) cancel(running);
    if (steady_clock::now() < running.give_up) continue;
    {
      const MutexLock lock(mutex_);
      if (!ending_) ended_for_ = running.id;
    }
    end(running.timed_out ? VerdictKind::TimeLimit : VerdictKind::Killed);
    return {};  // cancelled, or timed out
  }
  if (running.done) return conclude(running, *running.done);
  if (running.failure)
    return failed(error_from_failure(*running.failure, model_path_, spec_.policy.memory_bytes,
                                     running.options.embed ? "input" : "prompt"));
  return failed(error_of_end(running));
}

/// Refused by its sink, stopped or late: its worker has been told, or has to be.
bool WorkerSession::is_unwanted(const Running& running) {
  const MutexLock lock(mutex_);
  return running.cancelling || running.is_stopped() ||
         steady_clock::now() >= running.patience.deadline;
}

/// Waits for text, the end, or a reason to cancel. True at the end.
bool WorkerSession::wait_for_change(Running& running) {
  const auto deadline = running.cancelling ? running.give_up : running.patience.deadline;
  const MutexLock lock(mutex_);
  const auto is_over = [&]() SYMBIONT_REQUIRES(mutex_) {
    return (running.done || running.failure || ended_) && !running.is_showing;
  };
  const auto has_text = [&]() SYMBIONT_REQUIRES(mutex_) {
    return !running.arrived.empty() && !running.options.sink_on_any_thread;
  };
  while (!has_text() && !is_over() && (running.cancelling || !running.is_stopped())) {
    if (running.changed.wait_until(mutex_, deadline) == std::cv_status::timeout) break;
  }
  return is_over();
}

void WorkerSession::show(Running& running) {
  std::string text;
  std::vector<TokenLogprobs> logprobs;
  bool is_wanted = false;
  {
    const MutexLock lock(mutex_);
    text.swap(running.arrived);
    logprobs.swap(running.logprobs);
    is_wanted = running.sink && !running.cancelling && !running.sink_refused;
  }
  std::vector<TokenLogprobs>& all = running.result.logprobs;
  std::ranges::move(logprobs, std::back_inserter(all));
  if (text.empty()) return;  // those of a token whose text is held back come with it
  running.result.response += text;
  const std::size_t shown = std::exchange(running.shown_logprobs, all.size());
  if (!is_wanted || running.sink({text, std::span(all).subspan(shown)})) return;
  const MutexLock lock(mutex_);
  running.sink_refused = true;
}

void WorkerSession::cancel(Running& running) {
  {
    const MutexLock lock(mutex_);
    running.cancelling = true;
    running.timed_out = !running.is_stopped();
  }
  running.give_up = steady_clock::now() + spec_.cancel_grace;
  ipc::Builder builder;
  ipc::encode_cancel(builder, running.id);
  if (!send(builder)) running.give_up = steady_clock::now();
}

WorkerSession::Outcome WorkerSession::conclude(Running& running, const WorkerDone& done) {
  ExecutionMetadata& metadata = running.result.metadata;
  metadata.usage = done.usage;
  // The worker's figures are claims: never more than the time that passed here.
  const double elapsed = milliseconds(steady_clock::now() - running.started);
  metadata.timing.prefill_ms = std::min(static_cast<double>(done.prefill_us) / 1000.0, elapsed);
  metadata.timing.decode_ms =
      std::min(static_cast<double>(done.decode_us) / 1000.0, elapsed - metadata.timing.prefill_ms);
  switch (done.finish) {
    case ipc::fb::Finish::Stop:
      metadata.finish_reason = "stop";
      if (done.stop) running.result.stop = running.options.stop[*done.stop];
      break;
    case ipc::fb::Finish::Length:
      metadata.finish_reason = "length";
      break;
    case ipc::fb::Finish::Deadline:
      return failed(SlmRunnerError(runner_error::ExecutionTimeout{running.patience.limit}));
    case ipc::fb::Finish::Cancelled:
      if (running.cancelling) return {};
      end(VerdictKind::Killed, "it cancelled what nobody cancelled");
      return failed(error_of_end(running));
  }
  // It was complete before the Cancel arrived: a complete answer is no failure, unless refused.
  if (running.timed_out || (running.cancelling && !running.sink_refused))
    running.cancelling = false;
  return {};
}

}  // namespace symbiont
