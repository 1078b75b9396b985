#ifndef SYMBIONT_TESTS_SUPPORT_GGUF_BUILDER_H_
#define SYMBIONT_TESTS_SUPPORT_GGUF_BUILDER_H_

// Writes GGUF files without llama.cpp: a tiny model that loads and decodes, and files that are
// wrong in one chosen way.

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace symbiont::testing {

/// Numbers of enum gguf_type.
// NOLINTNEXTLINE(performance-enum-size): as wide as it is in the file
enum class GgufType : std::uint32_t {
  Uint8 = 0,
  Int8 = 1,
  Uint16 = 2,
  Int16 = 3,
  Uint32 = 4,
  Int32 = 5,
  Float32 = 6,
  Bool = 7,
  String = 8,
  Array = 9,
  Uint64 = 10,
  Int64 = 11,
  Float64 = 12,
};

/// The bytes of a number as a GGUF file holds them.
template <typename T>
  requires std::is_arithmetic_v<T>
[[nodiscard]] std::string little_endian(T value) {
  std::string raw(sizeof(T), '\0');
  __builtin_memcpy(raw.data(), &value, sizeof(T));
  return raw;
}

/// Length and bytes.
[[nodiscard]] std::string gguf_string(std::string_view text);
/// Element type, count and elements (already in file form).
[[nodiscard]] std::string gguf_array(GgufType element,
                                     std::uint64_t count,
                                     std::string_view elements);

struct GgufTensor {
  std::string name;
  std::vector<std::uint64_t> dimensions;
  std::uint32_t type = 0;                 ///< enum ggml_type; 0 is F32
  std::string data;                       ///< written at the aligned end of the data before it
  std::optional<std::uint64_t> offset{};  ///< claimed in the header in place of the true one
  std::optional<std::uint32_t> dimension_count{};
};

/// A GGUF file as a value. Every field can be given a false value; unset ones are computed.
struct GgufFile {
  struct Entry {
    std::string key;
    std::uint32_t type = 0;
    std::string value;  ///< in file form
  };

  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::uint32_t alignment = 32;  ///< used for writing; add general.alignment to claim it
  std::optional<std::uint64_t> tensor_count{};
  std::optional<std::uint64_t> metadata_count{};
  std::vector<Entry> metadata;
  std::vector<GgufTensor> tensors;

  /// Replaces the value of `key`, or appends it.
  GgufFile& set(std::string_view key, GgufType type, std::string value);
  GgufFile& set_string(std::string_view key, std::string_view text);
  GgufFile& set_u32(std::string_view key, std::uint32_t value);
  GgufFile& set_f32(std::string_view key, float value);
  /// Appends even when the key is there already.
  GgufFile& append(std::string_view key, GgufType type, std::string value);
  GgufFile& remove(std::string_view key);
  GgufFile& remove_tensor(std::string_view name);
  /// The tensor with this name; it must exist.
  [[nodiscard]] GgufTensor& tensor(std::string_view name);

  [[nodiscard]] std::string bytes() const;
  /// Length of what stands in front of the (unaligned) tensor data.
  [[nodiscard]] std::size_t header_size() const;

 private:
  [[nodiscard]] std::string header() const;
};

struct TinyModelOptions {
  std::uint32_t vocabulary = 600;  ///< tokens, at least 400
  std::uint32_t context_length = 512;
  std::string chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";
  std::string name = "tiny";
};

/// A llama-architecture model of two blocks with random weights (F32, about 440 KB) and a synthetic
/// SPM tokenizer. The same seed gives the same bytes. It loads and decodes in llama.cpp 0.5.0; what
/// it says is noise.
[[nodiscard]] GgufFile tiny_model_file(std::uint32_t seed, const TinyModelOptions& options = {});
[[nodiscard]] std::string tiny_model(std::uint32_t seed, const TinyModelOptions& options = {});

/// A well-formed file of two small tensors and a few metadata of every kind; no engine would run
/// it.
[[nodiscard]] GgufFile small_file();

/// What a hostile file is meant to do.
enum class Expected : std::uint8_t {
  PreflightRejects,
  EngineRejects,  ///< passes the preflight; the engine gives an error
  EngineCrashes,  ///< passes the preflight; llama.cpp 0.5.0 aborts while loading it or making a
                  ///< context
  Loads,          ///< valid to both; the harm is in what it holds
};

struct HostileVariant {
  std::string name;
  std::string bytes;
  Expected expected = Expected::PreflightRejects;
  std::string field;  ///< a PreflightRejects message holds this text
};

/// GoogleTest prints the name in place of the bytes.
// NOLINTNEXTLINE(readability-identifier-naming): GoogleTest looks for this name
inline void PrintTo(const HostileVariant& variant, std::ostream* out) {
  *out << variant.name;
}

/// Every hostile file of the suite, each wrong in one way.
[[nodiscard]] std::vector<HostileVariant> hostile_variants();

}  // namespace symbiont::testing

#endif  // SYMBIONT_TESTS_SUPPORT_GGUF_BUILDER_H_
