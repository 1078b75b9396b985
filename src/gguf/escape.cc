#include "gguf/escape.h"

#include <cstdint>
#include <iterator>

#include <fmt/format.h>

namespace symbiont::gguf {
namespace {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 0;  ///< 0: not well-formed UTF-8
};

CodePoint decode(std::string_view text) {
  const auto byte_at = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte_at(0);
  if (lead < 0x80) return {.value = lead, .bytes = 1};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {};
  std::uint32_t value = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte_at(i) & 0xC0U) != 0x80) return {};
    value = (value << 6U) | (byte_at(i) & 0x3FU);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (overlong || surrogate || value > 0x10FFFF) return {};
  return {.value = value, .bytes = length};
}

bool is_safe_to_print(std::uint32_t value) {
  if (value < 0x20 || (value >= 0x7F && value < 0xA0)) return false;        // C0, DEL, C1
  if (value == 0x00AD || value == 0x061C || value == 0xFEFF) return false;  // soft hyphen, ALM, BOM
  if (value >= 0x200B && value <= 0x200F) return false;                     // zero width, LRM, RLM
  if (value >= 0x2028 && value <= 0x202E) return false;  // separators, embeddings, overrides
  if (value >= 0x2060 && value <= 0x206F) return false;  // word joiner, isolates
  return value < 0xE0000 || value > 0xE0FFF;             // tags
}

/// One character of `point`, or the byte that starts none.
void append_escaped(std::string& out, std::string_view character, CodePoint point) {
  switch (character.front()) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\\':
      out += "\\\\";
      return;
    default:
      break;
  }
  if (point.bytes != 0 && is_safe_to_print(point.value)) {
    out += character;
    return;
  }
  for (const char c : character) {
    fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<std::uint8_t>(c));
  }
}

}  // namespace

std::string escape(std::string_view text, std::size_t max_bytes) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint point = decode(text.substr(i));
    const std::size_t bytes = point.bytes == 0 ? 1 : point.bytes;
    if (i + bytes > max_bytes) return out + "...";
    append_escaped(out, text.substr(i, bytes), point);
    i += bytes;
  }
  return out;
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const CodePoint point = decode(text);
    if (point.bytes == 0) return false;
    text.remove_prefix(point.bytes);
  }
  return true;
}

}  // namespace symbiont::gguf
