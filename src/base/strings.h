#ifndef SYMBIONT_BASE_STRINGS_H_
#define SYMBIONT_BASE_STRINGS_H_

// Small text helpers for messages: names that were probably meant, and names that are safe to
// print.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace symbiont {

/// Longest text that suggestions are looked for; longer ones are nobody's typing error and cost
/// quadratic time.
inline constexpr std::size_t kMaxSuggestionLength = 64;

/// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`; letters
/// differing only in (ASCII) case are equal.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate most like `name`, or empty when none is near (about one edit in three characters).
/// Of equals the first.
[[nodiscard]] std::string_view closest_match(std::string_view name,
                                             std::span<const std::string_view> candidates);

/// `name` in single quotes, control bytes and invalid UTF-8 as \xNN, cut with "..." beyond
/// `max_bytes`: safe on a terminal and in a log line whoever sent it.
[[nodiscard]] std::string quoted(std::string_view name, std::size_t max_bytes = 128);

}  // namespace symbiont

#endif  // SYMBIONT_BASE_STRINGS_H_
