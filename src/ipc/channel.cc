#include "ipc/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace symbiont::ipc {
namespace {

constexpr std::size_t kHeaderBytes = 4;
constexpr std::size_t kMinFrameBytes = 8;       // root offset and file identifier
constexpr std::size_t kKeptBytes = 64U << 10U;  // buffers shrink back to this after a large frame
constexpr std::size_t kAheadBytes = 8U << 10U;  // some 100 tokens
constexpr std::size_t kMaxDescriptors = 4;      // seen and closed; the kernel drops what is beyond

using AlignedBytes = std::vector<std::byte>;  // operator new aligns to 16

int poll_timeout(Deadline deadline) {
  if (!deadline) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(*deadline - std::chrono::steady_clock::now());
  constexpr std::chrono::milliseconds::rep kLongest = 1'000'000'000;
  return static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(left.count(), 0, kLongest));
}

/// Waits for `events` on `fd`; true when they (or an error, or the end) are there.
Result<bool> wait_for(int fd, short events, int timeout_ms) {
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  const int ready = ::poll(&entry, 1, timeout_ms);
  if (ready < 0 && errno != EINTR) return fail(errno_error("poll on the worker channel"));
  return ready > 0;
}

Status wait_until_ready(int fd, short events, Deadline deadline, std::string_view what) {
  while (true) {
    SYMBIONT_TRY(const bool ready, wait_for(fd, events, poll_timeout(deadline)));
    if (ready) return {};
    if (deadline && std::chrono::steady_clock::now() >= *deadline) {
      return fail(ErrorCode::DeadlineExceeded, fmt::format("{}: time ran out", what));
    }
  }
}

/// Takes over every descriptor of a received message. Returns their number.
std::size_t take_descriptors(msghdr& message, std::array<UniqueFd, kMaxDescriptors>& into) {
  std::size_t count = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t bytes = header->cmsg_len - CMSG_LEN(0);
    for (std::size_t i = 0; i < bytes / sizeof(int); ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + (i * sizeof(int)), sizeof fd);
      UniqueFd owned(fd);
      if (count < into.size()) into.at(count++) = std::move(owned);
    }
  }
  return count;
}

bool is_known_body(const fb::Frame& frame) {
  if (frame.body() == nullptr) return false;
  const fb::Body type = frame.body_type();
  if (type == fb::Body::NONE || type > fb::Body::MAX) return false;
  if (const auto* done = frame.body_as_Done()) return done->finish() <= fb::Finish::MAX;
  if (const auto* failed = frame.body_as_Failed()) return failed->kind() <= fb::FailureKind::MAX;
  return true;
}

}  // namespace

struct Channel::Buffer {
  std::array<std::byte, kHeaderBytes> header{};
  std::size_t header_have = 0;
  AlignedBytes in;
  std::size_t in_have = 0;
  bool frame_ready = false;                    // `in` holds a frame that was handed out
  std::array<std::byte, kAheadBytes> ahead{};  // read with an earlier frame:
  std::span<const std::byte> unread;           // this part of it
  std::atomic<bool> dead = false;
  AlignedBytes out;  // not sent yet
};

Result<const fb::Frame*> decode(std::span<const std::byte> bytes) {
  if (bytes.size() < kMinFrameBytes || bytes.size() > kMaxFrameBytes) {
    return fail(ErrorCode::DataCorrupt, fmt::format("frame of {} bytes", bytes.size()));
  }
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  if (reinterpret_cast<std::uintptr_t>(data) % alignof(std::uint64_t) != 0) {
    return fail(ErrorCode::Internal, "frame buffer is not aligned");
  }
  flatbuffers::Verifier verifier(data, bytes.size(), kMaxTableDepth, kMaxTables);
  if (!fb::VerifyFrameBuffer(verifier)) {
    return fail(ErrorCode::DataCorrupt, fmt::format("malformed frame of {} bytes", bytes.size()));
  }
  const fb::Frame* frame = fb::GetFrame(data);
  if (!is_known_body(*frame)) {
    return fail(ErrorCode::DataCorrupt, "frame with an unknown or absent body");
  }
  return frame;
}

Channel::Channel(UniqueFd socket)
    : socket_(std::move(socket)), buffer_(new Buffer, [](Buffer* buffer) { delete buffer; }) {}

Status Channel::send(const flatbuffers::FlatBufferBuilder& finished, int fd, Deadline deadline) {
  if (fd >= 0) SYMBIONT_TRY_STATUS(flush());  // it goes with the first byte of a write
  SYMBIONT_TRY_STATUS(append(finished));
  return write_unsent(fd, deadline);
}

Status Channel::send_later(const flatbuffers::FlatBufferBuilder& finished) {
  SYMBIONT_TRY_STATUS(append(finished));
  if (buffer_->out.size() < kMaxUnsentBytes) return {};
  return write_unsent(-1, std::nullopt);
}

Status Channel::flush() {
  if (buffer_->out.empty()) return {};
  return write_unsent(-1, std::nullopt);
}

Status Channel::append(const flatbuffers::FlatBufferBuilder& finished) {
  const std::size_t size = finished.GetSize();
  if (size > kMaxFrameBytes) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("frame of {} bytes; at most {} are allowed", size, kMaxFrameBytes));
  }
  if (buffer_->dead) return fail(ErrorCode::Unavailable, "the worker channel is closed");
  AlignedBytes& out = buffer_->out;
  const std::size_t begin = out.size();
  out.resize(begin + kHeaderBytes + size);
  for (std::size_t i = 0; i < kHeaderBytes; ++i) {
    out[begin + i] = static_cast<std::byte>((size >> (8U * i)) & 0xFFU);
  }
  std::memcpy(out.data() + begin + kHeaderBytes, finished.GetBufferPointer(), size);
  return {};
}

Status Channel::write_unsent(int fd, Deadline deadline) {
  AlignedBytes& out = buffer_->out;
  Status status = write_out(out, fd, deadline);
  if (!status.has_value()) buffer_->dead = true;
  out.clear();
  if (out.capacity() > kKeptBytes) AlignedBytes().swap(out);
  return status;
}

Status Channel::write_out(std::span<const std::byte> bytes, int fd, Deadline deadline) {
  if (plain_io_ && fd >= 0) {
    return fail(ErrorCode::FailedPrecondition, "this channel no longer passes descriptors");
  }
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  while (!bytes.empty()) {
    ssize_t written = 0;
    if (plain_io_) {
      written = ::write(socket_.get(), bytes.data(), bytes.size());
    } else {
      iovec piece{.iov_base = const_cast<std::byte*>(bytes.data()),  // NOLINT: iovec has no const
                  .iov_len = bytes.size()};
      msghdr message{};
      message.msg_iov = &piece;
      message.msg_iovlen = 1;
      if (fd >= 0) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
      }
      written = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    if (written > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
      fd = -1;
    } else if (written < 0 && (errno == EPIPE || errno == ECONNRESET)) {
      return fail(ErrorCode::Unavailable, "the other end of the worker channel is gone");
    } else if (written < 0 && errno == EAGAIN) {
      SYMBIONT_TRY_STATUS(wait_until_ready(socket_.get(), POLLOUT, deadline, "sending a frame"));
    } else if (written < 0 && errno != EINTR) {
      return fail(errno_error("sending a frame"));
    }
  }
  return {};
}

Result<std::size_t> Channel::read_some(std::span<std::byte> into, bool accept_fd, int flags) {
  ssize_t got = 0;
  if (!accept_fd) {
    got = plain_io_ ? ::read(socket_.get(), into.data(), into.size())
                    : ::recv(socket_.get(), into.data(), into.size(), flags);
  } else {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxDescriptors)> control{};
    iovec piece{.iov_base = into.data(), .iov_len = into.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | flags);
    if (got >= 0) {
      std::array<UniqueFd, kMaxDescriptors> descriptors;
      const std::size_t count = take_descriptors(message, descriptors);
      const bool truncated = (static_cast<unsigned>(message.msg_flags) & MSG_CTRUNC) != 0;
      if (count + (received_fd_.is_valid() ? 1 : 0) > 1 || truncated) {
        return fail(ErrorCode::DataCorrupt, "more than one descriptor with a frame");
      }
      if (count == 1) received_fd_ = std::move(descriptors.front());
    }
  }
  if (got > 0) return static_cast<std::size_t>(got);
  if (got == 0 || errno == ECONNRESET) {
    return fail(ErrorCode::Unavailable, "the other end of the worker channel is gone");
  }
  if (errno == EINTR || errno == EAGAIN) return 0;
  return fail(errno_error("reading a frame"));
}

Status Channel::fill(std::span<std::byte> into,
                     std::size_t& have,
                     Deadline deadline,
                     bool accept_fd) {
  Buffer& state = *buffer_;
  bool must_wait = deadline && plain_io_;  // else a look costs less than to ask first
  while (have < into.size()) {
    const std::span<std::byte> rest = into.subspan(have);
    if (!state.unread.empty()) {
      const std::size_t count = std::min(rest.size(), state.unread.size());
      std::ranges::copy(state.unread.first(count), rest.begin());
      state.unread = state.unread.subspan(count);
      have += count;
      continue;
    }
    if (must_wait) {
      SYMBIONT_TRY_STATUS(wait_until_ready(socket_.get(), POLLIN, deadline, "waiting for a frame"));
    }
    const bool directly = accept_fd || rest.size() >= state.ahead.size();
    const int flags = deadline ? MSG_DONTWAIT : 0;
    SYMBIONT_TRY(const std::size_t got,
                 read_some(directly ? rest : std::span(state.ahead), accept_fd, flags));
    if (directly) {
      have += got;
    } else {
      state.unread = std::span(state.ahead).first(got);
    }
    must_wait = deadline && got == 0;
  }
  return {};
}

Result<const fb::Frame*> Channel::receive(Deadline deadline, bool accept_fd) {
  Buffer& state = *buffer_;
  if (state.dead) return fail(ErrorCode::Unavailable, "the worker channel is closed");
  const auto read_frame = [&]() -> Result<const fb::Frame*> {
    SYMBIONT_TRY_STATUS(fill(state.header, state.header_have, deadline, accept_fd));
    std::size_t size = 0;
    for (std::size_t i = 0; i < kHeaderBytes; ++i) {
      size |= std::to_integer<std::size_t>(state.header.at(i)) << (8U * i);
    }
    if (size < kMinFrameBytes || size > kMaxFrameBytes) {
      return fail(ErrorCode::DataCorrupt, fmt::format("frame of {} bytes announced", size));
    }
    if (state.in.size() != size) state.in.resize(size);
    SYMBIONT_TRY_STATUS(fill(state.in, state.in_have, deadline, accept_fd));
    return decode(state.in);
  };
  if (state.frame_ready) {
    state.frame_ready = false;
    state.header_have = 0;
    state.in_have = 0;
    received_fd_.reset();
    if (state.in.capacity() > kKeptBytes) AlignedBytes().swap(state.in);
  }
  Result<const fb::Frame*> frame = read_frame();
  state.frame_ready = frame.has_value();
  if (!frame.has_value() && frame.error().code() != ErrorCode::DeadlineExceeded) {
    state.dead = true;
    received_fd_.reset();
  }
  return frame;
}

bool Channel::has_read_ahead() const {
  return !buffer_->unread.empty();
}

bool Channel::has_input() {
  if (has_read_ahead()) return true;
  const Result<bool> ready = wait_for(socket_.get(), POLLIN, 0);
  return !ready.has_value() || *ready;  // an error is found by the receive() that follows
}

UniqueFd Channel::take_fd() {
  return std::move(received_fd_);
}

}  // namespace symbiont::ipc
