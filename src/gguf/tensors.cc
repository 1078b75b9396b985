#include <algorithm>
#include <limits>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "gguf/escape.h"
#include "gguf/sections.h"

namespace symbiont::gguf {
namespace {

constexpr std::uint64_t kMaxDimension =
    std::numeric_limits<std::int64_t>::max();  // ggml counts in int64_t

Status read_dimensions(ByteCursor& cursor, Tensor& tensor) {
  const std::uint64_t count_offset = cursor.position();
  SYMBIONT_TRY(const auto count, cursor.read<std::uint32_t>("dimension count"));
  if (count == 0 || count > kMaxDimensions) {
    return fail(ErrorCode::DataCorrupt,
                fmt::format("dimension count at offset {}: is {}, must be 1 to {}", count_offset,
                            count, kMaxDimensions));
  }
  tensor.elements = 1;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t offset = cursor.position();
    SYMBIONT_TRY(const auto dimension, cursor.read<std::uint64_t>("dimension"));
    if (dimension == 0) {
      return fail(ErrorCode::DataCorrupt,
                  fmt::format("dimension {} at offset {}: is zero", i, offset));
    }
    if (dimension > kMaxDimension / tensor.elements) {
      return fail(ErrorCode::DataCorrupt,
                  fmt::format("dimension {} at offset {}: {} overflows the number of elements", i,
                              offset, dimension));
    }
    tensor.elements *= dimension;
    tensor.dimensions.push_back(dimension);
  }
  return {};
}

Status read_type_and_size(ByteCursor& cursor, Tensor& tensor) {
  const std::uint64_t offset = cursor.position();
  SYMBIONT_TRY(const auto id, cursor.read<std::uint32_t>("tensor type"));
  tensor.type = find_tensor_type(id);
  if (tensor.type == nullptr) {
    return fail(ErrorCode::DataCorrupt,
                fmt::format("tensor type at offset {}: unknown ggml type {}", offset, id));
  }
  if (tensor.dimensions.front() % tensor.type->block_elements != 0) {
    return fail(ErrorCode::DataCorrupt,
                fmt::format("tensor type at offset {}: rows of {} elements are no multiple of the "
                            "{} elements of a {} block",
                            offset, tensor.dimensions.front(), tensor.type->block_elements,
                            tensor.type->name));
  }
  const std::uint64_t blocks = tensor.elements / tensor.type->block_elements;
  if (blocks > kMaxDimension / tensor.type->block_bytes) {
    return fail(ErrorCode::DataCorrupt,
                fmt::format("tensor type at offset {}: size in bytes overflows", offset));
  }
  tensor.bytes = blocks * tensor.type->block_bytes;
  return {};
}

Status read_tensor(ByteCursor& cursor, Tensor& tensor) {
  SYMBIONT_TRY_STATUS(read_dimensions(cursor, tensor));
  SYMBIONT_TRY_STATUS(read_type_and_size(cursor, tensor));
  SYMBIONT_TRY(tensor.offset, cursor.read<std::uint64_t>("data offset"));
  return {};
}

std::string label(const Tensor& tensor) {
  return fmt::format("tensor '{}' at offset {}", escape(tensor.name), tensor.header_offset);
}

Status check_unique_names(std::vector<const Tensor*> sorted) {
  std::ranges::sort(sorted, {}, [](const Tensor* tensor) {
    return std::pair(std::string_view(tensor->name), tensor->header_offset);
  });
  const auto twin = std::ranges::adjacent_find(
      sorted, {}, [](const Tensor* tensor) { return std::string_view(tensor->name); });
  if (twin == sorted.end()) return {};
  return fail(ErrorCode::DataCorrupt,
              fmt::format("{}: duplicate name of the tensor at offset {}", label(**std::next(twin)),
                          (*twin)->header_offset));
}

Status check_inside_file(const Header& header, const Tensor& tensor) {
  if (tensor.offset % header.alignment != 0) {
    return fail(ErrorCode::DataCorrupt,
                fmt::format("{}: data offset {} is not aligned to {} bytes", label(tensor),
                            tensor.offset, header.alignment));
  }
  const std::uint64_t available =
      header.file_bytes - std::min(header.data_offset, header.file_bytes);
  if (tensor.offset > available || tensor.bytes > available - tensor.offset) {
    // Nothing here overflows: bytes is at most 2^63, and an offset beyond the file is reported as
    // such.
    const std::uint64_t past_start = tensor.offset > available ? tensor.offset - available : 0;
    if (past_start > kMaxDimension) {
      return fail(ErrorCode::DataCorrupt, fmt::format("{}: data offset {} is beyond any file",
                                                      label(tensor), tensor.offset));
    }
    const std::uint64_t missing =
        past_start != 0 ? past_start + tensor.bytes : tensor.bytes - (available - tensor.offset);
    return fail(
        ErrorCode::DataCorrupt,
        fmt::format("{}: file is truncated: data of {} bytes at data offset {} runs beyond the end "
                    "of the file "
                    "({} bytes), {} bytes are missing",
                    label(tensor), tensor.bytes, tensor.offset, header.file_bytes, missing));
  }
  return {};
}

}  // namespace

Result<std::vector<Tensor>> read_tensors(ByteCursor& cursor, std::uint64_t count) {
  std::vector<Tensor> tensors;
  for (std::uint64_t i = 0; i < count; ++i) {
    Tensor tensor;
    tensor.header_offset = cursor.position();
    Result<std::string> name =
        cursor.read_string("tensor name", kMaxTensorNameBytes, kMaxTensorNameBytes);
    if (!name) return fail(std::move(name).error().with_context(fmt::format("tensor {}", i)));
    tensor.name = *std::move(name);
    if (tensor.name.empty()) {
      return fail(
          ErrorCode::DataCorrupt,
          fmt::format("tensor {}: tensor name at offset {}: is empty", i, tensor.header_offset));
    }
    Status rest = read_tensor(cursor, tensor);
    if (!rest)
      return fail(
          std::move(rest).error().with_context(fmt::format("tensor '{}'", escape(tensor.name))));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Status check_tensor_places(const Header& header) {
  std::vector<const Tensor*> sorted;
  sorted.reserve(header.tensors.size());
  for (const Tensor& tensor : header.tensors)
    sorted.push_back(&tensor);
  SYMBIONT_TRY_STATUS(check_unique_names(sorted));
  std::ranges::sort(sorted, {}, [](const Tensor* tensor) {
    return std::pair(tensor->offset, tensor->header_offset);
  });
  // From the back: of a truncated file the last tensor tells how much is missing in all.
  for (const Tensor* tensor : sorted | std::views::reverse) {
    SYMBIONT_TRY_STATUS(check_inside_file(header, *tensor));
  }
  const Tensor* before = nullptr;
  for (const Tensor* tensor : sorted) {
    if (before != nullptr && tensor->offset < before->offset + before->bytes) {
      return fail(ErrorCode::DataCorrupt,
                  fmt::format("{}: data offset {} overlaps {}", label(*tensor), tensor->offset,
                              label(*before)));
    }
    before = tensor;
  }
  return {};
}

}  // namespace symbiont::gguf
