#ifndef SYMBIONT_RUNNERS_VALIDATE_H_
#define SYMBIONT_RUNNERS_VALIDATE_H_

// Every check of what a caller passes in, for all runners. Errors are InvalidInput and name the
// field.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string_view>

#include "symbiont/execution.h"
#include "symbiont/model.h"
#include "symbiont/runner_error.h"
#include "symbiont/sandbox_profile.h"

namespace symbiont {

inline constexpr std::size_t kMaxPromptBytes = std::size_t{1} << 20U;  ///< all messages together
inline constexpr std::size_t kMaxMessages = 1024;
inline constexpr std::size_t kMaxStopStrings = 16;
inline constexpr std::size_t kMaxStopBytes = 256;
inline constexpr std::uint32_t kMaxNewTokens = 1'048'576;
inline constexpr std::chrono::milliseconds kMaxTimeout = std::chrono::hours(24 * 7);

using Check = std::expected<void, SlmRunnerError>;

/// One text: not empty, at most kMaxPromptBytes, UTF-8 without NUL. `field` names it in the error.
[[nodiscard]] Check validate_text(std::string_view field, std::string_view text);

/// 1 .. kMaxMessages messages with known roles, of at most kMaxPromptBytes together.
[[nodiscard]] Check validate_messages(std::span<const ChatMessage> messages);

/// 1 .. ipc::kMaxEmbeddingInputs texts of which embeddings are made, none empty, of at most
/// kMaxPromptBytes together. Errors name `input`.
[[nodiscard]] Check validate_inputs(std::span<const ChatMessage> messages);

/// Ranges of all options. `known_parameters`: the runner's own custom_parameters.
[[nodiscard]] Check validate_options(const ExecutionOptions& options,
                                     std::span<const std::string_view> known_parameters);

/// For engines whose protocol has no more than the plain options: frequency and presence penalty,
/// biases, grammars and logprobs must be off.
[[nodiscard]] Check validate_plain_sampling(const ExecutionOptions& options);

/// "shared", "agent" or "request".
[[nodiscard]] Check validate_isolation(std::string_view isolation);

/// No zero or nonsensical limits (InvalidInput), and the model's stated need fits
/// (ResourceLimitExceeded).
[[nodiscard]] Check validate_profile(const SandboxProfile& profile,
                                     const ModelResourceRequirements& requirements);

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_VALIDATE_H_
