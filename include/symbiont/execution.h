#ifndef SYMBIONT_EXECUTION_H_
#define SYMBIONT_EXECUTION_H_

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/verdict.h"

namespace symbiont {

/// One message of a chat. `role` is "system", "user", "assistant" or "tool".
struct ChatMessage {
  std::string role;
  std::string content;
  bool operator==(const ChatMessage&) const = default;
};

/// How one prompt is answered. Every field has a usable default; out-of-range values are
/// SlmRunnerError InvalidInput.
struct ExecutionOptions {
  std::chrono::milliseconds timeout =
      std::chrono::seconds(30);               ///< > 0, wall clock from call to last token
  float temperature = 0.7F;                   ///< 0 (greedy) .. 2
  std::uint32_t max_tokens = 256;             ///< 1 .. 1,048,576 new tokens
  float top_p = 0.95F;                        ///< 0 .. 1
  std::uint32_t top_k = 40;                   ///< 0 = off
  float min_p = 0.05F;                        ///< 0 .. 1
  float repeat_penalty = 1.0F;                ///< 0 < .. 2, 1 = off
  float frequency_penalty = 0.0F;             ///< -2 .. 2, 0 = off
  float presence_penalty = 0.0F;              ///< -2 .. 2, 0 = off
  std::map<std::uint32_t, float> logit_bias;  ///< by token id, each -100 .. 100; at most 1024
  std::string json_schema;  ///< JSON schema that the answer follows, at most 256 KiB; not together
                            ///< with a grammar; empty = none
  std::string grammar;      ///< GBNF that the answer follows, at most 256 KiB; empty = none
  std::optional<std::uint32_t>
      top_logprobs;                   ///< 0 .. 20 likeliest tokens beside each; absent: none
  std::optional<std::uint64_t> seed;  ///< absent: a fresh random one each time
  std::vector<std::string> stop;      ///< at most 16 strings of at most 256 bytes
  std::string system_prompt;          ///< put in front of a text prompt; empty = none
  bool only_count = false;            ///< answer nothing: usage.prompt_tokens is all that is wanted
  bool raw = false;                   ///< do not apply the model's chat template
  bool embed = false;     ///< answer with an embedding of each message; at most 256 messages
  bool truncate = false;  ///< with embed: shorten what the context does not hold
  /// The sink never blocks: the runner may call it from a thread of its own that serves others,
  /// too.
  bool sink_on_any_thread = false;
  /// A prompt's beginning is remembered for executions with the same scope only. The Engine sets it
  /// to the agent.
  std::string cache_scope;
  std::map<std::string, std::string>
      custom_parameters;  ///< runner-specific; unknown names are InvalidInput
};

/// A token's bytes (not always whole UTF-8 sequences) and the natural logarithm of its probability
/// before sampling.
struct TokenProbability {
  std::string token;
  float logprob = 0.0F;
  bool operator==(const TokenProbability&) const = default;
};
/// What was chosen, and the likeliest in falling order.
struct TokenLogprobs {
  TokenProbability chosen;
  std::vector<TokenProbability> top;
};

struct TokenUsage {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t completion_tokens = 0;
  std::uint32_t cached_tokens = 0;
  bool operator==(const TokenUsage&) const = default;
};

/// Milliseconds spent in each stage, by the parent's steady clock.
struct ExecutionTimings {
  double queue_ms = 0;
  double load_ms = 0;
  double prefill_ms = 0;
  double decode_ms = 0;
  double first_token_ms = 0;
  double total_ms = 0;
};

struct ResourceUse {
  std::uint64_t peak_memory_bytes = 0;
  std::uint64_t memory_limit_bytes = 0;
  double cpu_time_ms = 0;
  double throttled_ms = 0;
};

/// Everything known about an execution beside its text; kept in full when it fails.
struct ExecutionMetadata {
  std::string execution_id;
  std::string model_id;
  std::string model_version;
  std::string model_sha256;  ///< set when the digest was checked
  std::string agent;
  std::string profile;
  std::string isolation;
  std::string finish_reason;  ///< "stop", "length", "cancelled", "timeout", "error"
  TokenUsage usage;
  ExecutionTimings timing;
  ResourceUse resources;
  Verdict verdict;
  ControlReport controls;
};

struct ExecutionResult {
  std::string response;
  std::vector<TokenLogprobs> logprobs;  ///< of each token, when options.top_logprobs asked for them
  ExecutionMetadata metadata;
  std::vector<std::vector<float>> embeddings{};  ///< with options.embed: of length 1, in order
  std::string
      stop{};  ///< the one of options.stop that ended it, where the engine says so; else empty
};

/// What came since the piece before; points into the execution. As good as its text where that is
/// all one wants.
struct TextPiece {
  template <typename T>
    requires std::convertible_to<const T&, std::string_view>
  TextPiece(const T& text_in,  // NOLINT(google-explicit-constructor): see above
            std::span<const TokenLogprobs> logprobs_in = {})
      : text(text_in), logprobs(logprobs_in) {}
  operator std::string_view() const { return text; }  // NOLINT(google-explicit-constructor)

  std::string_view text;                    ///< whole UTF-8 sequences, never empty
  std::span<const TokenLogprobs> logprobs;  ///< of the tokens since then, as ExecutionResult's
};

/// Receives text as it is generated, one call at a time, none after execute() has returned: from
/// the thread that called it unless options.sink_on_any_thread. It must not call back into the
/// runner's destructor; returning false cancels the execution.
using TokenSink = std::function<bool(const TextPiece& piece)>;

}  // namespace symbiont

#endif  // SYMBIONT_EXECUTION_H_
