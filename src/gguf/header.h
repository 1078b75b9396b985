#ifndef SYMBIONT_GGUF_HEADER_H_
#define SYMBIONT_GGUF_HEADER_H_

// Bounded reader of GGUF headers (versions 2 and 3, little-endian): what the gateway may know of a
// model file without loading it. It never maps the file, never reads tensor data, and allocates in
// proportion to the header at most. It does not vouch for what the engine does with the file: a
// header that passes can still make a loader abort.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "gguf/tensor_type.h"

namespace symbiont::gguf {

inline constexpr std::uint64_t kMaxHeaderBytes = 256ULL << 20U;
inline constexpr std::uint64_t kMaxMetadataKeys = 65'536;
inline constexpr std::uint64_t kMaxKeyBytes = 65'535;  // the GGUF specification's own bound
inline constexpr std::uint64_t kMaxStringBytes =
    16ULL << 20U;  // the longest chat templates are under 64 KiB
inline constexpr std::uint64_t kMaxKeptStringBytes = 64 * 1024;
inline constexpr std::uint64_t kMaxArrayElements =
    16ULL << 20U;  // the largest vocabularies have about 300 000
inline constexpr std::size_t kMaxArrayPreview = 8;
inline constexpr std::uint64_t kMaxPreviewStringBytes = 256;
inline constexpr unsigned kMaxArrayDepth = 4;
inline constexpr std::uint64_t kMaxTensors = 65'536;
inline constexpr std::uint64_t kMaxTensorNameBytes = 63;  // GGML_MAX_NAME - 1
inline constexpr std::uint32_t kMaxDimensions = 4;        // GGML_MAX_DIMS
inline constexpr std::uint32_t kDefaultAlignmentBytes = 32;
inline constexpr std::uint32_t kMaxAlignmentBytes = 1U << 20U;

/// enum gguf_type of gguf.h.
enum class ValueType : std::uint8_t {
  Uint8,
  Int8,
  Uint16,
  Int16,
  Uint32,
  Int32,
  Float32,
  Bool,
  String,
  Array,
  Uint64,
  Int64,
  Float64,
};

/// "uint32", "string", ... Static storage.
[[nodiscard]] std::string_view to_string(ValueType type);

/// A string value: its first kMaxKeptStringBytes (any bytes, not necessarily UTF-8) and its full
/// length.
struct Text {
  std::string kept;
  std::uint64_t total_bytes = 0;
};

using Scalar = std::variant<std::uint64_t, std::int64_t, double, bool, Text>;

/// An array: how many elements of what type, and the first few (none when the elements are arrays).
struct ArraySummary {
  ValueType element_type{};
  std::uint64_t count = 0;
  std::vector<Scalar> first;
};

struct Metadata {
  std::string key;
  ValueType type{};
  std::variant<Scalar, ArraySummary> value;
  std::uint64_t offset = 0;  ///< of the entry in the file
};

struct Tensor {
  std::string name;
  std::vector<std::uint64_t>
      dimensions;                    ///< 1 to kMaxDimensions, each at least 1, the fastest first
  const TensorType* type = nullptr;  ///< static storage
  std::uint64_t offset = 0;          ///< from Header::data_offset
  std::uint64_t bytes = 0;
  std::uint64_t elements = 0;
  std::uint64_t header_offset = 0;  ///< of the entry in the file
};

struct Header {
  std::uint32_t version = 0;
  std::uint32_t alignment = kDefaultAlignmentBytes;  ///< bytes
  std::vector<Metadata> metadata;                    ///< in file order, keys unique
  std::vector<Tensor> tensors;  ///< in file order, names unique, data inside the file
  std::uint64_t data_offset = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t parameters = 0;  ///< elements of all tensors

  /// The entry with this key, or nullptr.
  [[nodiscard]] const Metadata* find(std::string_view key) const;
  /// The string under `key`; empty when absent or of another type.
  [[nodiscard]] std::string_view string_or_empty(std::string_view key) const;
};

/// Reads the header of an open regular file, from its start whatever the file position is, which
/// stays as it was. DataCorrupt names the field and its offset; InvalidArgument when `fd` is no
/// regular file; else the read's errno.
[[nodiscard]] Result<Header> read_header(int fd);

/// The same over the first bytes of a file that is `file_bytes` long. A header that goes on after
/// `bytes` is truncated.
[[nodiscard]] Result<Header> parse_header(std::span<const std::byte> bytes,
                                          std::uint64_t file_bytes);
[[nodiscard]] inline Result<Header> parse_header(std::span<const std::byte> bytes) {
  return parse_header(bytes, bytes.size());
}

}  // namespace symbiont::gguf

#endif  // SYMBIONT_GGUF_HEADER_H_
