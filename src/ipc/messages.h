#ifndef SYMBIONT_IPC_MESSAGES_H_
#define SYMBIONT_IPC_MESSAGES_H_

// The frames as plain values: what each side fills in and reads, without FlatBuffers' calls. Each
// encode_*() clears the builder, so that one builder serves a whole connection without allocating.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ipc/frames_generated.h"

namespace symbiont::ipc {

inline constexpr std::size_t kMaxMessages = 1024;             ///< of one Execute
inline constexpr std::size_t kMaxStopStrings = 16;            ///< of one Execute
inline constexpr std::size_t kMaxStopBytes = 256;             ///< of one stop string
inline constexpr std::size_t kMaxRoleBytes = 64;              ///< of one message's role
inline constexpr std::uint32_t kMaxThreads = 1024;            ///< of one Load
inline constexpr std::uint16_t kMaxSequences = 64;            ///< of one Load
inline constexpr std::size_t kMaxLogitBiases = 1024;          ///< of one Execute
inline constexpr std::size_t kMaxGrammarBytes = 256U << 10U;  ///< of one Execute; of a schema too
inline constexpr std::int8_t kMaxTopLogprobs = 20;
inline constexpr std::size_t kMaxPieceBytes = 256;  ///< of one Candidate
inline constexpr std::uint32_t kMaxContextTokens = 1U << 24U;
inline constexpr std::size_t kMaxEmbeddingInputs = 256;          ///< messages of one Execute
inline constexpr std::uint32_t kMaxEmbeddingValues = 1U << 16U;  ///< of one Embedding

struct LoadRequest {
  std::uint32_t context_tokens = 0;  ///< 0: what the model was trained with, at most 4096
  std::uint16_t threads = 1;
  bool use_mmap = true;
  std::uint16_t max_sequences = 1;  ///< executions decoded together, at most kMaxSequences
  std::uint64_t memory_bytes = 0;   ///< what the worker may use in all; 0: not known
  bool embeddings = false;          ///< executions may ask for them
};

struct ChatMessage {
  std::string role;
  std::string content;
};

/// One execution as the worker sees it. Defaults sample greedily without a bound on time.
struct ExecuteRequest {
  std::uint64_t id = 0;         ///< never 0: that is the load
  std::uint64_t cache_key = 0;  ///< prompts are remembered for executions with the same key only
  std::vector<ChatMessage> messages;
  bool raw = false;  ///< the one message's content is the prompt; no template
  std::uint32_t max_tokens = 256;
  float temperature = 0.0F;  ///< 0: greedy
  float top_p = 1.0F;
  std::uint32_t top_k = 0;  ///< 0: off
  float min_p = 0.0F;
  float repeat_penalty = 1.0F;
  std::uint64_t seed = 0;
  std::vector<std::string> stop;
  std::uint64_t deadline_ms = 0;  ///< from receipt; 0: none
  float frequency_penalty = 0.0F;
  float presence_penalty = 0.0F;
  std::vector<std::pair<std::uint32_t, float>> logit_bias;  ///< by token
  std::string grammar;                                      ///< GBNF; empty: none
  std::string json_schema;        ///< that the answer follows; empty: none
  bool only_count = false;        ///< Done with the prompt's number of tokens at once
  std::int8_t top_logprobs = -1;  ///< -1: none; 0: of the chosen token only
  bool embed = false;             ///< an Embedding of each message instead of Tokens
  bool truncate = false;          ///< with embed: shorten what the context does not hold
};

/// A token's bytes, cut at kMaxPieceBytes, and the logarithm of its probability.
struct Candidate {
  std::string piece;
  float logprob = 0.0F;
};

struct ReadyReport {
  std::uint32_t context_tokens = 0;
  std::uint32_t vocabulary = 0;
  std::string engine;
  bool has_template = false;
  std::uint16_t max_sequences = 1;
  std::uint32_t embedding_size = 0;  ///< 0: none are made
};

struct DoneReport {
  std::uint64_t id = 0;
  fb::Finish finish = fb::Finish::Stop;
  std::uint32_t prompt_tokens = 0;
  std::uint32_t completion_tokens = 0;
  std::uint32_t cached_tokens = 0;
  std::uint64_t prefill_us = 0;
  std::uint64_t decode_us = 0;
  std::int8_t stop = -1;  ///< which of the stop strings ended it; -1: none did
};

struct FailureReport {
  std::uint64_t id = 0;
  fb::FailureKind kind = fb::FailureKind::Internal;
  std::string message;
  std::uint64_t needed = 0;
  std::uint64_t limit = 0;
};

using Builder = flatbuffers::FlatBufferBuilder;

void encode_load(Builder& builder, const LoadRequest& load);
void encode_execute(Builder& builder, const ExecuteRequest& execute);
void encode_cancel(Builder& builder, std::uint64_t id);
void encode_locked(Builder& builder);
void encode_progress(Builder& builder, float fraction);
void encode_ready(Builder& builder, const ReadyReport& ready);
void encode_token(Builder& builder,
                  std::uint64_t id,
                  std::string_view text,
                  std::span<const Candidate> logprobs = {});
/// `values`: at most kMaxEmbeddingValues.
void encode_embedding(Builder& builder,
                      std::uint64_t id,
                      std::uint32_t index,
                      std::span<const float> values);
void encode_done(Builder& builder, const DoneReport& done);
void encode_failed(Builder& builder, const FailureReport& failure);

/// Copies out of a verified frame and checks every field's range; the error names the field
/// (InvalidArgument).
[[nodiscard]] Result<LoadRequest> read_load(const fb::Load& load);
[[nodiscard]] Result<ExecuteRequest> read_execute(const fb::Execute& execute);
/// Copies out of verified frames. Absent strings are empty; text is bounded only by the frame.
[[nodiscard]] ReadyReport read_ready(const fb::Ready& ready);
[[nodiscard]] DoneReport read_done(const fb::Done& done);
[[nodiscard]] FailureReport read_failed(const fb::Failed& failed);
/// A Token's text; points into the frame.
[[nodiscard]] std::string_view read_token_text(const fb::Token& token);
/// At most 1 + kMaxTopLogprobs of a Token's candidates.
[[nodiscard]] std::vector<Candidate> read_logprobs(const fb::Token& token);

}  // namespace symbiont::ipc

#endif  // SYMBIONT_IPC_MESSAGES_H_
