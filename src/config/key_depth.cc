#include "config/key_depth.h"

#include <algorithm>

namespace symbiont::config {
namespace {

// Where the string that begins at `at` ends; agrees with the parser on every text the parser
// accepts.
std::size_t skip_string(std::string_view text, std::size_t at) {
  const char quote = text[at];
  const std::string_view triple = quote == '"' ? R"(""")" : "'''";
  const bool many_lines = text.substr(at).starts_with(triple);
  at += many_lines ? 3 : 1;
  while (at < text.size()) {
    if (quote == '"' && text[at] == '\\') {
      at += 2;
    } else if (many_lines && text.substr(at).starts_with(triple)) {
      at += 3;
      while (at < text.size() && text[at] == quote)
        ++at;  // quotes may touch the closing three
      return at;
    } else if (!many_lines && (text[at] == quote || text[at] == '\n')) {
      return at + 1;
    } else {
      ++at;
    }
  }
  return text.size();
}

bool ends_key(char c) {
  return std::string_view("=,[]{}\n").contains(c);
}

Place place_at(std::string_view text, std::size_t at) {
  const std::string_view before = text.substr(0, at);
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  const auto lines = std::ranges::count(before, '\n');
  return {static_cast<std::uint32_t>(lines + 1), static_cast<std::uint32_t>(at - line_start + 1)};
}

}  // namespace

std::optional<Place> find_deep_key(std::string_view text, std::size_t max_parts) {
  std::size_t parts = 1;
  std::size_t start = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"' || c == '\'') {
      at = skip_string(text, at);
      continue;
    }
    if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    ++at;
    if (ends_key(c)) {
      parts = 1;
      start = at;
    } else if (c == '.' && ++parts > max_parts) {
      return place_at(text, start);
    }
  }
  return std::nullopt;
}

}  // namespace symbiont::config
