#ifndef SYMBIONT_API_OPENAI_OPTIONS_H_
#define SYMBIONT_API_OPENAI_OPTIONS_H_

// The fields that chat and text completions share, and the one place where they become
// ExecutionOptions.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "symbiont/execution.h"

#include "api/fields.h"

namespace symbiont::api::openai {

inline constexpr std::size_t kMaxBiases = 1'024;
inline constexpr std::uint32_t kMaxTopLogprobs = 20;
inline constexpr std::size_t kMaxMetadataPairs = 16;

/// As read. Absent values keep the engine's defaults.
struct CommonFields {
  std::string model;
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<std::uint32_t> top_k;
  std::optional<float> min_p;
  std::optional<float> repeat_penalty;
  float frequency_penalty = 0;
  float presence_penalty = 0;
  std::map<std::uint32_t, float> logit_bias;
  std::optional<std::uint64_t> seed;
  std::vector<std::string> stop;
  std::optional<std::uint32_t> max_tokens;
  std::uint32_t n = 1;
  bool stream = false;
  bool include_usage = false;
};

/// Reads them; errors stay in `fields`. What the engine cannot do is refused by name.
[[nodiscard]] CommonFields read_common_fields(Fields& fields);

/// Sets what `from` says; everything else in `options` stays as it is.
void to_options(const CommonFields& from, ExecutionOptions& options);

}  // namespace symbiont::api::openai

#endif  // SYMBIONT_API_OPENAI_OPTIONS_H_
