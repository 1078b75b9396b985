#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "gguf/escape.h"
#include "gguf/sections.h"

namespace symbiont::gguf {
namespace {

constexpr std::size_t kMaxShownKeyBytes = 80;

struct ValueTypeInfo {
  std::string_view name;
  std::uint32_t bytes;  ///< of one element; 0: varies
};

// In the order of ValueType.
constexpr std::array<ValueTypeInfo, 13> kValueTypes = {{{"uint8", 1},
                                                        {"int8", 1},
                                                        {"uint16", 2},
                                                        {"int16", 2},
                                                        {"uint32", 4},
                                                        {"int32", 4},
                                                        {"float32", 4},
                                                        {"bool", 1},
                                                        {"string", 0},
                                                        {"array", 0},
                                                        {"uint64", 8},
                                                        {"int64", 8},
                                                        {"float64", 8}}};

// Keys whose type a reader of the header relies on; the rest is the engine's business.
constexpr std::array kTypedKeys = {
    std::pair<std::string_view, ValueType>{"general.alignment", ValueType::Uint32},
    std::pair<std::string_view, ValueType>{"general.architecture", ValueType::String},
    std::pair<std::string_view, ValueType>{"general.name", ValueType::String},
    std::pair<std::string_view, ValueType>{"tokenizer.chat_template", ValueType::String},
};

Result<ValueType> read_type(ByteCursor& cursor, std::string_view field) {
  const std::uint64_t offset = cursor.position();
  SYMBIONT_TRY(const auto raw, cursor.read<std::uint32_t>(field));
  if (raw >= kValueTypes.size()) {
    return fail(ErrorCode::DataCorrupt,
                fmt::format("{} at offset {}: unknown type {}", field, offset, raw));
  }
  return static_cast<ValueType>(raw);
}

Result<Scalar> read_bool(ByteCursor& cursor) {
  const std::uint64_t offset = cursor.position();
  SYMBIONT_TRY(const auto raw, cursor.read<std::uint8_t>("bool value"));
  if (raw > 1) {
    return fail(ErrorCode::DataCorrupt,
                fmt::format("bool value at offset {}: {} is neither 0 nor 1", offset, raw));
  }
  return Scalar(raw == 1);
}

template <typename Stored, typename Kept>
Result<Scalar> read_number(ByteCursor& cursor) {
  SYMBIONT_TRY(const Stored value, cursor.read<Stored>("value"));
  return Scalar(static_cast<Kept>(value));
}

Result<Scalar> read_scalar(ByteCursor& cursor, ValueType type, std::uint64_t keep_bytes) {
  switch (type) {
    case ValueType::Uint8:
      return read_number<std::uint8_t, std::uint64_t>(cursor);
    case ValueType::Int8:
      return read_number<std::int8_t, std::int64_t>(cursor);
    case ValueType::Uint16:
      return read_number<std::uint16_t, std::uint64_t>(cursor);
    case ValueType::Int16:
      return read_number<std::int16_t, std::int64_t>(cursor);
    case ValueType::Uint32:
      return read_number<std::uint32_t, std::uint64_t>(cursor);
    case ValueType::Int32:
      return read_number<std::int32_t, std::int64_t>(cursor);
    case ValueType::Float32:
      return read_number<float, double>(cursor);
    case ValueType::Uint64:
      return read_number<std::uint64_t, std::uint64_t>(cursor);
    case ValueType::Int64:
      return read_number<std::int64_t, std::int64_t>(cursor);
    case ValueType::Float64:
      return read_number<double, double>(cursor);
    case ValueType::Bool:
      return read_bool(cursor);
    case ValueType::String: {
      Text text;
      SYMBIONT_TRY(text.kept, cursor.read_string("string value", kMaxStringBytes, keep_bytes,
                                                 &text.total_bytes));
      return Scalar(std::move(text));
    }
    case ValueType::Array:
      break;
  }
  return fail(ErrorCode::Internal, "an array is no scalar");
}

Result<ArraySummary> read_array(ByteCursor& cursor, unsigned depth);

// Steps over the elements of an array after the preview.
Status skip_elements(ByteCursor& cursor, ValueType type, std::uint64_t count, unsigned depth) {
  const std::uint32_t bytes = kValueTypes[std::to_underlying(type)].bytes;
  if (bytes != 0)
    return cursor.skip(count * bytes, "array elements");  // count is bounded: no overflow
  for (std::uint64_t i = 0; i < count; ++i) {
    if (type == ValueType::Array) {
      SYMBIONT_TRY([[maybe_unused]] const ArraySummary nested, read_array(cursor, depth + 1));
    } else {
      SYMBIONT_TRY([[maybe_unused]] const std::string text,
                   cursor.read_string("array element", kMaxStringBytes, /*keep_bytes=*/0));
    }
  }
  return {};
}

Result<ArraySummary> read_array(ByteCursor& cursor, unsigned depth) {
  if (depth > kMaxArrayDepth) {
    return fail(ErrorCode::DataCorrupt,
                fmt::format("array at offset {}: nested deeper than {} levels", cursor.position(),
                            kMaxArrayDepth));
  }
  ArraySummary array;
  SYMBIONT_TRY(array.element_type, read_type(cursor, "array element type"));
  const std::uint64_t offset = cursor.position();
  SYMBIONT_TRY(array.count, cursor.read<std::uint64_t>("array length"));
  // The smallest string is its length, the smallest array its type and length.
  const ValueType type = array.element_type;
  const std::uint32_t fixed = kValueTypes[std::to_underlying(type)].bytes;
  const std::uint64_t min_bytes = type == ValueType::String  ? 8
                                  : type == ValueType::Array ? 12
                                                             : fixed;
  if (array.count > cursor.remaining() / min_bytes) {
    return fail(
        ErrorCode::DataCorrupt,
        fmt::format(
            "array length at offset {}: {} elements do not fit into the {} bytes that remain",
            offset, array.count, cursor.remaining()));
  }
  if (array.count > kMaxArrayElements) {
    return fail(ErrorCode::DataCorrupt,
                fmt::format("array length at offset {}: {} elements, at most {} are accepted",
                            offset, array.count, kMaxArrayElements));
  }
  const std::uint64_t shown =
      type == ValueType::Array ? 0 : std::min<std::uint64_t>(array.count, kMaxArrayPreview);
  for (std::uint64_t i = 0; i < shown; ++i) {
    SYMBIONT_TRY(Scalar element, read_scalar(cursor, type, kMaxPreviewStringBytes));
    array.first.push_back(std::move(element));
  }
  SYMBIONT_TRY_STATUS(skip_elements(cursor, type, array.count - shown, depth));
  return array;
}

Status read_value(ByteCursor& cursor, Metadata& entry) {
  const std::uint64_t type_offset = cursor.position();
  SYMBIONT_TRY(entry.type, read_type(cursor, "value type"));
  for (const auto& [key, type] : kTypedKeys) {
    if (entry.key == key && entry.type != type) {
      return fail(ErrorCode::DataCorrupt,
                  fmt::format("value type at offset {}: is {}, must be {}", type_offset,
                              to_string(entry.type), to_string(type)));
    }
  }
  if (entry.type == ValueType::Array) {
    SYMBIONT_TRY(entry.value, read_array(cursor, 1));
  } else {
    SYMBIONT_TRY(entry.value, read_scalar(cursor, entry.type, kMaxKeptStringBytes));
  }
  return {};
}

Status check_unique_keys(const std::vector<Metadata>& metadata) {
  // Sorted rather than hashed: a hostile file can choose keys that collide.
  std::vector<const Metadata*> sorted;
  sorted.reserve(metadata.size());
  for (const Metadata& entry : metadata)
    sorted.push_back(&entry);
  std::ranges::sort(sorted, {}, [](const Metadata* entry) {
    return std::pair(std::string_view(entry->key), entry->offset);
  });
  const auto twin = std::ranges::adjacent_find(
      sorted, {}, [](const Metadata* entry) { return std::string_view(entry->key); });
  if (twin == sorted.end()) return {};
  return fail(ErrorCode::DataCorrupt,
              fmt::format("metadata key '{}' at offset {}: duplicate of the key at offset {}",
                          escape((*twin)->key, kMaxShownKeyBytes), (*std::next(twin))->offset,
                          (*twin)->offset));
}

}  // namespace

std::string_view to_string(ValueType type) {
  return kValueTypes[std::to_underlying(type)].name;
}

Result<std::vector<Metadata>> read_metadata(ByteCursor& cursor, std::uint64_t count) {
  std::vector<Metadata> metadata;  // grows with what is really there: count is only a claim
  for (std::uint64_t i = 0; i < count; ++i) {
    Metadata entry;
    entry.offset = cursor.position();
    Result<std::string> key = cursor.read_string("metadata key", kMaxKeyBytes, kMaxKeyBytes);
    if (!key) return fail(std::move(key).error().with_context(fmt::format("metadata entry {}", i)));
    entry.key = *std::move(key);
    if (entry.key.empty()) {
      return fail(
          ErrorCode::DataCorrupt,
          fmt::format("metadata entry {}: metadata key at offset {}: is empty", i, entry.offset));
    }
    Status value = read_value(cursor, entry);
    if (!value) {
      return fail(std::move(value).error().with_context(
          fmt::format("metadata '{}'", escape(entry.key, kMaxShownKeyBytes))));
    }
    metadata.push_back(std::move(entry));
  }
  SYMBIONT_TRY_STATUS(check_unique_keys(metadata));
  return metadata;
}

}  // namespace symbiont::gguf
