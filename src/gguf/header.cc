#include "gguf/header.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>

#include <fmt/format.h>

#include "base/file.h"
#include "gguf/byte_cursor.h"
#include "gguf/escape.h"
#include "gguf/sections.h"

namespace symbiont::gguf {
namespace {

constexpr std::string_view kMagic = "GGUF";
// Lengths, types and counts alone, with names and values empty: no entry is smaller.
constexpr std::uint64_t kMinMetadataEntryBytes = 8 + 4 + 1;
constexpr std::uint64_t kMinTensorEntryBytes = 8 + 4 + 8 + 4 + 8;

class FileSource final : public ByteSource {
 public:
  FileSource(int fd, std::uint64_t size) : fd_(fd), size_(size) {}
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] Status read_at(std::uint64_t offset, std::span<std::byte> into) const override {
    return read_exactly_at(fd_, into, offset);
  }

 private:
  int fd_;
  std::uint64_t size_;
};

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::span<const std::byte> bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }
  [[nodiscard]] Status read_at(std::uint64_t offset, std::span<std::byte> into) const override {
    std::ranges::copy(bytes_.subspan(offset, into.size()),
                      into.begin());  // the cursor keeps within size()
    return {};
  }

 private:
  std::span<const std::byte> bytes_;
};

Status check_magic(const ByteSource& source) {
  if (source.size() == 0) return fail(ErrorCode::DataCorrupt, "not a GGUF file: the file is empty");
  std::string first(std::min<std::uint64_t>(source.size(), kMagic.size()), '\0');
  SYMBIONT_TRY_STATUS(source.read_at(0, std::as_writable_bytes(std::span(first))));
  if (first == kMagic) return {};
  std::string hex;
  for (const char c : first) {
    fmt::format_to(std::back_inserter(hex), "{}{:02x}", hex.empty() ? "" : " ",
                   static_cast<std::uint8_t>(c));
  }
  return fail(ErrorCode::DataCorrupt, fmt::format("not a GGUF file: first bytes are {} ('{}'), the "
                                                  "magic at offset 0 must be 47 47 55 46 ('GGUF')",
                                                  hex, escape(first)));
}

Result<std::uint32_t> read_version(ByteCursor& cursor) {
  const std::uint64_t offset = cursor.position();
  SYMBIONT_TRY(const auto version, cursor.read<std::uint32_t>("version"));
  if (version == 2 || version == 3) return version;
  const std::uint32_t swapped = std::byteswap(version);
  if (swapped >= 1 && swapped <= 3) {
    return fail(
        ErrorCode::DataCorrupt,
        fmt::format(
            "version at offset {}: the file is big-endian, only little-endian files are supported",
            offset));
  }
  return fail(ErrorCode::DataCorrupt,
              fmt::format("version at offset {}: version {} is not supported, 2 and 3 are", offset,
                          version));
}

struct Count {
  std::string_view field;
  std::uint64_t max;
  std::uint64_t min_entry_bytes;
};

Result<std::uint64_t> read_count(ByteCursor& cursor, const Count& count) {
  const std::uint64_t offset = cursor.position();
  SYMBIONT_TRY(const auto value, cursor.read<std::uint64_t>(count.field));
  if (value > cursor.remaining() / count.min_entry_bytes) {
    return fail(ErrorCode::DataCorrupt,
                fmt::format("{} at offset {}: {} entries do not fit into a file of {} bytes",
                            count.field, offset, value, cursor.file_size()));
  }
  if (value > count.max) {
    return fail(ErrorCode::DataCorrupt,
                fmt::format("{} at offset {}: {} entries, at most {} are accepted", count.field,
                            offset, value, count.max));
  }
  return value;
}

Result<std::uint32_t> alignment_of(const Header& header) {
  const Metadata* entry = header.find("general.alignment");
  if (entry == nullptr) return kDefaultAlignmentBytes;
  const auto value =
      std::get<std::uint64_t>(std::get<Scalar>(entry->value));  // read_metadata checked the type
  if (!std::has_single_bit(value) || value > kMaxAlignmentBytes) {
    return fail(ErrorCode::DataCorrupt,
                fmt::format("general.alignment at offset {}: {} is not a power of two from 1 to {}",
                            entry->offset, value, kMaxAlignmentBytes));
  }
  return static_cast<std::uint32_t>(value);
}

Result<Header> parse(const ByteSource& source, std::uint64_t file_bytes) {
  SYMBIONT_TRY_STATUS(check_magic(source));
  ByteCursor cursor(source, kMaxHeaderBytes);
  SYMBIONT_TRY_STATUS(cursor.skip(kMagic.size(), "magic"));
  Header header;
  header.file_bytes = file_bytes;
  SYMBIONT_TRY(header.version, read_version(cursor));
  SYMBIONT_TRY(const auto tensor_count,
               read_count(cursor, {.field = "tensor count",
                                   .max = kMaxTensors,
                                   .min_entry_bytes = kMinTensorEntryBytes}));
  SYMBIONT_TRY(const auto key_count,
               read_count(cursor, {.field = "metadata count",
                                   .max = kMaxMetadataKeys,
                                   .min_entry_bytes = kMinMetadataEntryBytes}));
  SYMBIONT_TRY(header.metadata, read_metadata(cursor, key_count));
  SYMBIONT_TRY(header.alignment, alignment_of(header));
  SYMBIONT_TRY(header.tensors, read_tensors(cursor, tensor_count));
  const std::uint64_t mask = std::uint64_t{header.alignment} - 1;
  header.data_offset = (cursor.position() + mask) & ~mask;
  SYMBIONT_TRY_STATUS(check_tensor_places(header));
  for (const Tensor& tensor : header.tensors)
    header.parameters += tensor.elements;
  return header;
}

}  // namespace

const Metadata* Header::find(std::string_view key) const {
  const auto found = std::ranges::find(metadata, key, &Metadata::key);
  return found == metadata.end() ? nullptr : &*found;
}

std::string_view Header::string_or_empty(std::string_view key) const {
  const Metadata* entry = find(key);
  if (entry == nullptr || entry->type != ValueType::String) return {};
  return std::get<Text>(std::get<Scalar>(entry->value)).kept;
}

Result<Header> read_header(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return fail(errno_error("stat GGUF file"));
  if (!S_ISREG(info.st_mode))
    return fail(ErrorCode::InvalidArgument, "not a GGUF file: not a regular file");
  const auto size = static_cast<std::uint64_t>(info.st_size);
  return parse(FileSource(fd, size), size);
}

Result<Header> parse_header(std::span<const std::byte> bytes, std::uint64_t file_bytes) {
  return parse(MemorySource(bytes), file_bytes);
}

}  // namespace symbiont::gguf
