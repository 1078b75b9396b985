#ifndef SYMBIONT_GGUF_ESCAPE_H_
#define SYMBIONT_GGUF_ESCAPE_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace symbiont::gguf {

/// Text of a hostile file made fit for a terminal: \n, \r, \t and backslash as in C, every other
/// control character, invalid UTF-8 and the invisible code points that reorder or hide text
/// (bidirectional controls, zero-width characters, line separators) as \xNN per byte. Cut after
/// `max_bytes` of input with "..." added.
[[nodiscard]] std::string escape(std::string_view text,
                                 std::size_t max_bytes = std::string_view::npos);

/// True when all of `text` is well-formed UTF-8 (no overlong forms, no surrogates).
[[nodiscard]] bool is_valid_utf8(std::string_view text);

}  // namespace symbiont::gguf

#endif  // SYMBIONT_GGUF_ESCAPE_H_
