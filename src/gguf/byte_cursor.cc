#include "gguf/byte_cursor.h"

#include <algorithm>

#include <fmt/format.h>

namespace symbiont::gguf {
namespace {

constexpr std::uint64_t kWindowBytes = 64 * 1024;

}  // namespace

ByteCursor::ByteCursor(const ByteSource& source, std::uint64_t max_bytes)
    : source_(source), file_size_(source.size()), max_position_(max_bytes) {}

Status ByteCursor::check_available(std::uint64_t count, std::string_view field) const {
  if (count > remaining()) {
    return fail(
        ErrorCode::DataCorrupt,
        fmt::format(
            "{} at offset {}: file is truncated: needs {} bytes, file has {} more, {} are missing",
            field, position_, count, remaining(), count - remaining()));
  }
  if (position_ > max_position_ || count > max_position_ - position_) {
    return fail(ErrorCode::DataCorrupt,
                fmt::format("{} at offset {}: header is larger than {} bytes", field, position_,
                            max_position_));
  }
  return {};
}

Status ByteCursor::read_bytes(std::span<std::byte> into, std::string_view field) {
  SYMBIONT_TRY_STATUS(check_available(into.size(), field));
  while (!into.empty()) {
    const bool in_window = position_ >= window_start_ && position_ < window_start_ + window_.size();
    if (!in_window) {
      window_.resize(std::min(kWindowBytes, remaining()));
      window_start_ = position_;
      Status filled = source_.read_at(position_, window_);
      if (!filled) {
        window_.clear();
        return fail(std::move(filled).error().with_context(field));
      }
    }
    const auto ready = std::span(window_).subspan(position_ - window_start_);
    const std::size_t count = std::min(ready.size(), into.size());
    std::ranges::copy(ready.first(count), into.begin());
    into = into.subspan(count);
    position_ += count;
  }
  return {};
}

Status ByteCursor::skip(std::uint64_t count, std::string_view field) {
  SYMBIONT_TRY_STATUS(check_available(count, field));
  position_ += count;
  return {};
}

Result<std::string> ByteCursor::read_string(std::string_view field,
                                            std::uint64_t max_bytes,
                                            std::uint64_t keep_bytes,
                                            std::uint64_t* total_bytes) {
  const std::uint64_t start = position_;
  SYMBIONT_TRY(const std::uint64_t length, read<std::uint64_t>(field));
  if (length > remaining()) {
    return fail(ErrorCode::DataCorrupt,
                fmt::format("{} at offset {}: string of {} bytes runs beyond the end of the file, "
                            "{} bytes are missing",
                            field, start, length, length - remaining()));
  }
  if (length > max_bytes) {
    return fail(ErrorCode::DataCorrupt,
                fmt::format("{} at offset {}: string of {} bytes, at most {} are accepted", field,
                            start, length, max_bytes));
  }
  SYMBIONT_TRY_STATUS(check_available(length, field));
  std::string text(std::min(length, keep_bytes), '\0');
  SYMBIONT_TRY_STATUS(read_bytes(std::as_writable_bytes(std::span(text)), field));
  SYMBIONT_TRY_STATUS(skip(length - text.size(), field));
  if (total_bytes != nullptr) *total_bytes = length;
  return text;
}

}  // namespace symbiont::gguf
