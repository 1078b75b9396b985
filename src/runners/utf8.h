#ifndef SYMBIONT_RUNNERS_UTF8_H_
#define SYMBIONT_RUNNERS_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace symbiont {

/// Offset of the first byte that is not part of well-formed UTF-8 (Unicode table 3-7: no overlong
/// forms, no surrogates, nothing above U+10FFFF); text.size() when all of it is.
[[nodiscard]] std::size_t first_invalid_utf8(std::string_view text);

/// `text`, cut to `max_bytes` and with every byte outside printable ASCII as '?': for untrusted
/// text in messages.
[[nodiscard]] std::string printable(std::string_view text, std::size_t max_bytes);

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_UTF8_H_
