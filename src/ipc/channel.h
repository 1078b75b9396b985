#ifndef SYMBIONT_IPC_CHANNEL_H_
#define SYMBIONT_IPC_CHANNEL_H_

// Frames over one stream socketpair: 4-byte little-endian length, then a FlatBuffers Frame that is
// verified before anyone reads it. Used by both ends; allocates nothing per frame beyond its own
// two buffers.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>

#include "base/result.h"
#include "base/unique_fd.h"
#include "ipc/frames_generated.h"

namespace symbiont::ipc {

inline constexpr std::size_t kMaxFrameBytes = 4U
                                              << 20U;  ///< 4 MiB; a longer one ends the connection
inline constexpr unsigned kMaxTableDepth = 8;
inline constexpr unsigned kMaxTables = 8192;

/// Verifies one frame's bytes (identifier, bounds, depth). Pure; fuzzed. The result points into
/// `bytes`.
[[nodiscard]] Result<const fb::Frame*> decode(std::span<const std::byte> bytes);

/// One end of the socketpair. Not thread-safe, except that one thread may send while another
/// receives.
class Channel {
 public:
  explicit Channel(UniqueFd socket);

  /// Sends a finished builder's frame, and `fd` with it when >= 0. Blocks until written; EPIPE is
  /// Unavailable.
  [[nodiscard]] Status send(const flatbuffers::FlatBufferBuilder& finished, int fd = -1);

  /// Next frame, valid until the next call. Waits until `deadline` (none: forever):
  /// DeadlineExceeded; end of file is Unavailable; a malformed frame is DataCorrupt and the channel
  /// is dead. A descriptor that came along is in take_fd() when `accept_fd` was set; otherwise
  /// descriptors are never accepted.
  [[nodiscard]] Result<const fb::Frame*> receive(
      std::optional<std::chrono::steady_clock::time_point> deadline, bool accept_fd = false);
  /// True when a frame or an end of file can be received without waiting. Never blocks.
  [[nodiscard]] bool has_input();
  [[nodiscard]] UniqueFd take_fd();
  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  struct Buffer;
  UniqueFd socket_;
  UniqueFd received_fd_;
  std::unique_ptr<Buffer, void (*)(Buffer*)> buffer_;
};

}  // namespace symbiont::ipc

#endif  // SYMBIONT_IPC_CHANNEL_H_
