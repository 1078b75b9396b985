#include "broker/pump.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace symbiont::broker {
namespace {

constexpr int kRounds = 4;  // reads in a row, so that one fast connection does not stop the others

bool would_block(int error) {
  return error == EAGAIN || error == EINTR;
}

}  // namespace

void Pump::enqueue(std::string_view bytes) {
  pending_ += bytes;
}

void Pump::enqueue_own(std::string_view bytes) {
  own_bytes_ += bytes.size();
  pending_ += bytes;
}

void Pump::abandon() {
  end_quietly();
  pending_ = {};
  sent_ = own_bytes_ = 0;
}

// Sends from the front of `bytes` what the socket takes. False when it is broken.
bool Pump::send_all(Endpoint& to, std::string_view& bytes) {
  while (!bytes.empty() && to.is_writable) {
    const auto sent = send(to.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EINTR) {
      continue;
    } else if (would_block(errno)) {
      to.is_writable = false;
    } else {
      return false;
    }
  }
  return true;
}

bool Pump::flush(Endpoint& to, Flow& flow) {
  if (!has_pending()) return true;
  std::string_view rest = std::string_view(pending_).substr(sent_);
  const auto before = rest.size();
  const bool is_sound = send_all(to, rest);
  const auto sent = before - rest.size();
  const auto own = std::min(own_bytes_, sent);
  own_bytes_ -= own;
  flow.moved += sent - own;
  sent_ += sent;
  if (rest.empty()) {
    pending_ = {};  // and its memory
    sent_ = 0;
  }
  return is_sound;
}

Pump::State Pump::read_once(Endpoint& from, Endpoint& to, Flow& flow) {
  const auto allowance = flow.throttle.allowance(flow.now);
  if (allowance == 0) return State::Throttled;
  const auto wanted = std::min(allowance, flow.scratch.size());
  const auto got = recv(from.fd.get(), flow.scratch.data(), wanted, 0);
  if (got < 0) {
    if (!would_block(errno)) return State::SourceBroken;
    from.is_readable = errno == EINTR;
    return State::Waiting;
  }
  if (got == 0) {
    has_ended_ = true;
    return State::Waiting;
  }
  std::string_view bytes(flow.scratch.data(), static_cast<std::size_t>(got));
  flow.throttle.spend(bytes.size());
  if (flow.filter != nullptr) {
    const auto passed = flow.filter->take(bytes);
    if (!passed.has_value()) return State::Refused;
    bytes = bytes.substr(0, *passed);
    if (flow.filter->ended()) end_quietly();  // the server knows from the body's framing
  }
  const auto before = bytes.size();
  if (!send_all(to, bytes)) return State::SinkBroken;
  flow.moved += before - bytes.size();
  pending_ = bytes;
  const bool had_its_turn = static_cast<std::size_t>(got) == allowance;
  return had_its_turn ? State::Throttled : State::MoreToDo;
}

Pump::State Pump::run(Endpoint& from, Endpoint& to, Flow& flow) {
  for (int round = 0; round < kRounds; ++round) {
    if (!flush(to, flow)) return State::SinkBroken;
    if (has_pending()) return State::Waiting;
    if (has_ended_) {
      if (!is_shut_) shutdown(to.fd.get(), SHUT_WR);
      is_shut_ = true;
      return State::Waiting;
    }
    if (!from.is_readable) return State::Waiting;
    const auto state = read_once(from, to, flow);
    if (state == State::Waiting || state == State::MoreToDo) continue;
    if (state == State::Throttled && has_pending()) return State::Waiting;
    return state;
  }
  return State::MoreToDo;
}

}  // namespace symbiont::broker
