#include "worker/loop.h"

#include <algorithm>
#include <new>
#include <utility>

#include <fmt/format.h>

namespace symbiont::worker {
namespace {

using ipc::fb::FailureKind;
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

Status Loop::run() {
  while (true) {
    while (pending_.empty()) {
      if (const Status read = read_frame(); !read.has_value()) {
        if (read.error().code() == ErrorCode::Unavailable) return {};
        return read;
      }
    }
    const Pending next = std::move(pending_.front());
    pending_.pop_front();
    const Status served = serve(next);
    if (!served.has_value() && served.error().code() == ErrorCode::Unavailable) return {};
    if (!served.has_value()) return served;
  }
}

Status Loop::serve(const Pending& pending) {
  running_ = pending.request.id;
  cancelled_ = false;
  broken_ = {};
  thrown_ = nullptr;
  const GenerationHooks hooks{.stopping = [&] { return look(pending); },
                              .emit =
                                  [&](std::string_view text) {
                                    if (!broken_.has_value()) return;
                                    ipc::encode_token(builder_, pending.request.id, text);
                                    broken_ = channel_.send(builder_);
                                  }};
  Outcome<ipc::DoneReport> outcome = std::unexpected(Failure{});
  try {
    outcome = generate(engine_, pending.request, hooks);
    if (thrown_) std::rethrow_exception(thrown_);
  } catch (const std::bad_alloc&) {
    outcome = std::unexpected(
        Failure{.kind = FailureKind::OutOfMemory, .message = "out of memory while answering"});
  } catch (const std::exception& error) {
    outcome = std::unexpected(Failure{.message = error.what()});
  }
  running_ = 0;
  SYMBIONT_TRY_STATUS(std::move(broken_));
  if (!outcome.has_value()) return send_failed(std::move(outcome).error(), pending.request.id);
  ipc::encode_done(builder_, *outcome);
  return channel_.send(builder_);
}

/// Runs inside llama.cpp's decode, between OpenMP's barriers: nothing may be thrown from here.
Stopping Loop::look(const Pending& running) {
  if (cancelled_ || !broken_.has_value() || thrown_) return Stopping::Cancelled;
  const auto now = steady_clock::now();
  if (running.deadline && now >= *running.deadline) return Stopping::Deadline;
  if (now - last_look_ < kLookInterval) return Stopping::No;
  last_look_ = now;
  try {
    while (broken_.has_value() && !cancelled_ && channel_.has_input())
      broken_ = read_frame();
  } catch (...) {
    thrown_ = std::current_exception();
  }
  return cancelled_ || !broken_.has_value() || thrown_ ? Stopping::Cancelled : Stopping::No;
}

Status Loop::read_frame() {
  SYMBIONT_TRY(const ipc::fb::Frame* frame, channel_.receive(std::nullopt));
  if (const auto* execute = frame->body_as_Execute()) return queue(*execute);
  if (const auto* cancelled = frame->body_as_Cancel()) return cancel(cancelled->id());
  return fail(ErrorCode::DataCorrupt,
              fmt::format("unexpected frame {}", ipc::fb::EnumNameBody(frame->body_type())));
}

Status Loop::queue(const ipc::fb::Execute& execute) {
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
  pending_.push_back({.request = *std::move(request), .deadline = deadline});
  return {};
}

Status Loop::cancel(std::uint64_t id) {
  if (id != 0 && id == running_) {
    cancelled_ = true;
    return {};
  }
  const auto found = std::ranges::find(pending_, id, [](const Pending& p) { return p.request.id; });
  if (found == pending_.end()) return {};  // it ended while the cancel was on its way
  pending_.erase(found);
  ipc::encode_done(builder_, {.id = id, .finish = ipc::fb::Finish::Cancelled});
  return channel_.send(builder_);
}

Status Loop::send_failed(Failure failure, std::uint64_t id) {
  failure.id = id;
  if (failure.message.size() > kMaxReasonBytes) failure.message.resize(kMaxReasonBytes);
  ipc::encode_failed(builder_, failure);
  return channel_.send(builder_);
}

}  // namespace symbiont::worker
