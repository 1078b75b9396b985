#ifndef SYMBIONT_CONFIG_PROBLEMS_H_
#define SYMBIONT_CONFIG_PROBLEMS_H_

// Collects what is wrong with a configuration while it is read, so that all of it is reported.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/slm.h"

namespace symbiont::config {

/// Looking for a name that was meant compares it with every candidate; a hostile file may hold a
/// million of both. Beyond these the problem is reported without a suggestion.
inline constexpr std::size_t kMaxSuggestions = 100;
inline constexpr std::size_t kMaxSuggestionCandidates = 1000;

/// Of a file that is wrong everywhere, this many errors and as many warnings are kept.
inline constexpr std::size_t kMaxProblems = 1000;

struct Place {
  std::uint32_t line = 0;  ///< 0 = the file as a whole
  std::uint32_t column = 0;
};

class Problems {
 public:
  explicit Problems(std::string file) : file_(std::move(file)) {}

  void error(Place place, std::string key, std::string message, std::string suggestion = {});
  void warning(Place place, std::string key, std::string message, std::string suggestion = {});

  /// The candidate that `name` was probably meant to be; empty when there is none.
  [[nodiscard]] std::string suggest(std::string_view name,
                                    std::span<const std::string_view> candidates);

  [[nodiscard]] bool any_errors() const { return !errors_.empty(); }
  /// Both lists in the order of the file. Leaves this object empty.
  [[nodiscard]] ConfigErrors take();

 private:
  void add(std::vector<ConfigProblem>& list, ConfigProblem problem);

  std::string file_;
  std::vector<ConfigProblem> errors_;
  std::vector<ConfigProblem> warnings_;
  std::size_t suggestions_ = 0;
};

/// `path` and `key` joined by a dot; a key that is not a bare one is quoted and safe to print.
[[nodiscard]] std::string join_key(std::string_view path, std::string_view key);

}  // namespace symbiont::config

#endif  // SYMBIONT_CONFIG_PROBLEMS_H_
