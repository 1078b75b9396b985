#include "config/problems.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "base/strings.h"

namespace symbiont {

std::string ConfigProblem::to_string() const {
  std::string out = file;
  if (line > 0) out += fmt::format(":{}:{}", line, column);
  if (!key.empty()) out += ": " + key;
  out += ": " + message;
  if (!suggestion.empty()) out += fmt::format("; did you mean {}?", symbiont::quoted(suggestion));
  return out;
}

std::string ConfigErrors::to_string() const {
  std::string out;
  for (const ConfigProblem& problem : errors) {
    if (!out.empty()) out += '\n';
    out += problem.to_string();
  }
  return out;
}

namespace config {
namespace {

bool is_bare(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

void sort_by_place(std::vector<ConfigProblem>& list) {
  std::ranges::stable_sort(list, [](const ConfigProblem& a, const ConfigProblem& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
}

}  // namespace

void Problems::add(std::vector<ConfigProblem>& list, ConfigProblem problem) {
  if (list.size() < kMaxProblems) list.push_back(std::move(problem));
}

void Problems::error(Place place, std::string key, std::string message, std::string suggestion) {
  add(errors_,
      {file_, place.line, place.column, std::move(key), std::move(message), std::move(suggestion)});
}

void Problems::warning(Place place, std::string key, std::string message, std::string suggestion) {
  add(warnings_,
      {file_, place.line, place.column, std::move(key), std::move(message), std::move(suggestion)});
}

std::string Problems::suggest(std::string_view name, std::span<const std::string_view> candidates) {
  if (suggestions_ >= kMaxSuggestions || candidates.size() > kMaxSuggestionCandidates) return {};
  ++suggestions_;
  return std::string(closest_match(name, candidates));
}

ConfigErrors Problems::take() {
  sort_by_place(errors_);
  sort_by_place(warnings_);
  return {std::exchange(errors_, {}), std::exchange(warnings_, {})};
}

std::string join_key(std::string_view path, std::string_view key) {
  const bool bare = !key.empty() && std::ranges::all_of(key, is_bare);
  std::string out(path);
  if (!out.empty()) out += '.';
  return out + (bare ? std::string(key) : symbiont::quoted(key));
}

}  // namespace config
}  // namespace symbiont
