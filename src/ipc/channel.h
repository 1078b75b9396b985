#ifndef SYMBIONT_IPC_CHANNEL_H_
#define SYMBIONT_IPC_CHANNEL_H_

// Frames over one stream socketpair: 4-byte little-endian length, then a FlatBuffers Frame that is
// verified before anyone reads it. Used by both ends; allocates nothing per frame beyond its own
// buffers.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"
#include "ipc/frames_generated.h"

namespace symbiont::ipc {

/// 4 MiB; a longer frame ends the connection.
inline constexpr std::size_t kMaxFrameBytes = 4U << 20U;
inline constexpr unsigned kMaxTableDepth = 8;
inline constexpr unsigned kMaxTables = 8192;
/// What send_later() keeps before it sends by itself.
inline constexpr std::size_t kMaxUnsentBytes = 64U << 10U;

using Deadline = std::optional<std::chrono::steady_clock::time_point>;

/// Verifies one frame's bytes: identifier, bounds, depth, a body of a known kind, known enum
/// values. Pure; fuzzed. `bytes` must be 8-byte aligned; the result points into it. Strings,
/// vectors and their elements may still be absent (null).
[[nodiscard]] Result<const fb::Frame*> decode(std::span<const std::byte> bytes);

/// One end of the socketpair. Not thread-safe, except that one thread may send while another
/// receives.
class Channel {
 public:
  explicit Channel(UniqueFd socket);

  /// Sends a finished builder's frame, and `fd` with it when >= 0. Waits for a peer that does not
  /// read until `deadline` (none: forever): DeadlineExceeded. A peer that is gone is Unavailable.
  /// After any error but InvalidArgument (frame too long, nothing sent) the channel is dead.
  [[nodiscard]] Status send(const flatbuffers::FlatBufferBuilder& finished,
                            int fd = -1,
                            Deadline deadline = std::nullopt);
  /// Takes a frame that goes out with others in one write: at the next flush() or send(), or here
  /// once kMaxUnsentBytes wait. Waits for the peer without a deadline; errors are send()'s.
  [[nodiscard]] Status send_later(const flatbuffers::FlatBufferBuilder& finished);
  /// Sends what send_later() took, if anything.
  [[nodiscard]] Status flush();

  /// Next frame, valid until the next call. Waits until `deadline` (none: forever):
  /// DeadlineExceeded, after which the call can be repeated; end of file is Unavailable; a
  /// malformed frame is DataCorrupt and the channel is dead. The descriptor that came along is in
  /// take_fd() when `accept_fd` was set, and more than one is DataCorrupt; otherwise descriptors
  /// are dropped by the kernel before they get a number here. Without `accept_fd` it reads as much
  /// as is there, and a descriptor of a later frame is dropped, too.
  [[nodiscard]] Result<const fb::Frame*> receive(Deadline deadline, bool accept_fd = false);

  /// True when a frame or an end of file has begun to arrive. Never blocks: poll(2) without
  /// waiting.
  [[nodiscard]] bool has_input();
  /// True when receive() has bytes that were read with an earlier frame, of which poll(2) on fd()
  /// knows nothing.
  [[nodiscard]] bool has_read_ahead() const;
  [[nodiscard]] UniqueFd take_fd();
  [[nodiscard]] int fd() const { return socket_.get(); }

  /// From now on write(2) instead of sendmsg(2), which no filter of a worker lets through. A peer
  /// that is gone then raises SIGPIPE unless that is ignored; send() waits without regard to a
  /// deadline and carries no descriptor. receive() needs read(2), poll(2) for a deadline, and
  /// recvmsg(2) only with `accept_fd`.
  void use_plain_io() { plain_io_ = true; }

 private:
  struct Buffer;
  [[nodiscard]] Status fill(std::span<std::byte> into,
                            std::size_t& have,
                            Deadline deadline,
                            bool accept_fd);
  [[nodiscard]] Status append(const flatbuffers::FlatBufferBuilder& finished);
  [[nodiscard]] Status write_unsent(int fd, Deadline deadline);
  [[nodiscard]] Status write_out(std::span<const std::byte> bytes, int fd, Deadline deadline);
  [[nodiscard]] Result<std::size_t> read_some(std::span<std::byte> into, bool accept_fd, int flags);

  UniqueFd socket_;
  UniqueFd received_fd_;
  std::unique_ptr<Buffer, void (*)(Buffer*)> buffer_;
  bool plain_io_ = false;
};

}  // namespace symbiont::ipc

#endif  // SYMBIONT_IPC_CHANNEL_H_
