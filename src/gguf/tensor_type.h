#ifndef SYMBIONT_GGUF_TENSOR_TYPE_H_
#define SYMBIONT_GGUF_TENSOR_TYPE_H_

#include <cstdint>
#include <string_view>

namespace symbiont::gguf {

/// How one ggml tensor type packs its elements: `block_elements` of them in `block_bytes`.
struct TensorType {
  std::uint32_t id;
  std::string_view name;  ///< as ggml prints it ("q4_K"); static storage
  std::uint32_t block_elements;
  std::uint32_t block_bytes;
};

/// The type with this number in a GGUF file, or nullptr for numbers that ggml never had or has
/// removed.
[[nodiscard]] const TensorType* find_tensor_type(std::uint32_t id);

}  // namespace symbiont::gguf

#endif  // SYMBIONT_GGUF_TENSOR_TYPE_H_
