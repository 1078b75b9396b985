#ifndef SYMBIONT_GGUF_BYTE_CURSOR_H_
#define SYMBIONT_GGUF_BYTE_CURSOR_H_

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace symbiont::gguf {

static_assert(std::endian::native == std::endian::little,
              "fields are copied as they stand in the file");

/// Where a cursor gets its bytes. Implementations are not owned by the cursor and must outlive it.
class ByteSource {
 public:
  ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  virtual ~ByteSource() = default;
  /// Size of the whole file in bytes; reading before it may still fail.
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  /// Fills `into` from `offset`, or fails: never a short read.
  [[nodiscard]] virtual Status read_at(std::uint64_t offset, std::span<std::byte> into) const = 0;
};

/// Reads a source forwards through one window, never past its end and never past `max_bytes` from
/// its start. `field` in every call names what is being read; errors are DataCorrupt and say "FIELD
/// at offset N: ...".
class ByteCursor {
 public:
  ByteCursor(const ByteSource& source, std::uint64_t max_bytes);

  [[nodiscard]] std::uint64_t position() const { return position_; }
  [[nodiscard]] std::uint64_t file_size() const { return file_size_; }
  [[nodiscard]] std::uint64_t remaining() const { return file_size_ - position_; }

  template <typename T>
    requires std::integral<T> || std::floating_point<T>
  [[nodiscard]] Result<T> read(std::string_view field) {
    std::array<std::byte, sizeof(T)> raw{};
    SYMBIONT_TRY_STATUS(read_bytes(raw, field));
    return std::bit_cast<T>(raw);
  }

  /// A string (u64 length, bytes) of at most `max_bytes`; only its first `keep_bytes` are returned.
  /// `total_bytes`, when given, receives the full length.
  [[nodiscard]] Result<std::string> read_string(std::string_view field,
                                                std::uint64_t max_bytes,
                                                std::uint64_t keep_bytes,
                                                std::uint64_t* total_bytes = nullptr);

  /// Steps over `count` bytes that have to exist.
  [[nodiscard]] Status skip(std::uint64_t count, std::string_view field);

 private:
  [[nodiscard]] Status check_available(std::uint64_t count, std::string_view field) const;
  [[nodiscard]] Status read_bytes(std::span<std::byte> into, std::string_view field);

  const ByteSource& source_;
  std::uint64_t file_size_;
  std::uint64_t max_position_;
  std::uint64_t position_ = 0;
  std::uint64_t window_start_ = 0;
  std::vector<std::byte> window_;
};

}  // namespace symbiont::gguf

#endif  // SYMBIONT_GGUF_BYTE_CURSOR_H_
