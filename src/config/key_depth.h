#ifndef SYMBIONT_CONFIG_KEY_DEPTH_H_
#define SYMBIONT_CONFIG_KEY_DEPTH_H_

#include <optional>
#include <string_view>

#include "config/problems.h"

namespace symbiont::config {

/// Place of the first key of more than `max_parts` dotted parts, if any. The parser makes one
/// nested table of each part and destroys them by recursion: without a bound a long key ends the
/// stack.
[[nodiscard]] std::optional<Place> find_deep_key(std::string_view text, std::size_t max_parts);

}  // namespace symbiont::config

#endif  // SYMBIONT_CONFIG_KEY_DEPTH_H_
