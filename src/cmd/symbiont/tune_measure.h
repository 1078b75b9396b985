#ifndef SYMBIONT_CMD_SYMBIONT_TUNE_MEASURE_H_
#define SYMBIONT_CMD_SYMBIONT_TUNE_MEASURE_H_

#include <cstddef>
#include <expected>
#include <filesystem>
#include <functional>
#include <stop_token>

#include "cmd/symbiont/exit_codes.h"

namespace symbiont::cli {

/// Tokens a second of one model file, in a confined worker with all processors: medians.
struct Speed {
  double reading = 0;   ///< of a prompt of some hundred tokens
  double writing = 0;   ///< of one answer
  double together = 0;  ///< of 16 answers at once, their prompts included
};

struct Comparison {
  Speed original;
  Speed copy;
  /// Tokens that both were to choose after the same text at temperature 0, and of them those that
  /// both chose: each answer counts up to its first difference.
  std::size_t choices = 0;
  std::size_t alike = 0;
};

/// Runs both models in turn, a minute or so for a small one. `on_progress`: 0 .. 1, may be null.
[[nodiscard]] std::expected<Comparison, Failure> compare(
    const std::filesystem::path& original,
    const std::filesystem::path& copy,
    bool strict,
    const std::function<void(float fraction)>& on_progress,
    const std::stop_token& stop_token);

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_TUNE_MEASURE_H_
