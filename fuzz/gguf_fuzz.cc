// The GGUF preflight and what `symbiont inspect` prints of it, on any bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "gguf/describe.h"
#include "gguf/escape.h"
#include "gguf/header.h"

namespace {

constexpr std::string_view kFileName = "fuzz.gguf";

void require(bool condition) {
  if (!condition) std::abort();
}

/// Valid UTF-8 without control characters other than line ends.
void require_harmless(std::string_view text) {
  require(symbiont::gguf::is_valid_utf8(text));
  for (const char c : text)
    require(c == '\n' || static_cast<unsigned char>(c) >= ' ');
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer looks for this name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto header = symbiont::gguf::parse_header(bytes);
  if (!header.has_value()) {
    require(header.error().code() == symbiont::ErrorCode::DataCorrupt);
    require_harmless(header.error().message());
    return 0;
  }
  // What the rest of the program relies on.
  for (const auto& tensor : header->tensors) {
    require(header->data_offset + tensor.offset + tensor.bytes <= size);
    require(tensor.offset % header->alignment == 0);
  }
  require_harmless(symbiont::gguf::describe_text(*header, kFileName));
  require_harmless(symbiont::gguf::describe_json(*header, kFileName));
  // Fewer bytes of the same file can only be an error or the same header.
  const auto half = symbiont::gguf::parse_header(bytes.first(size / 2), size);
  require(!half.has_value() || half->data_offset == header->data_offset);
  return 0;
}
