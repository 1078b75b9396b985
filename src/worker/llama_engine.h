#ifndef SYMBIONT_WORKER_LLAMA_ENGINE_H_
#define SYMBIONT_WORKER_LLAMA_ENGINE_H_

// llama.cpp as the worker uses it: one model, one context, several sequences that share its cells.
// llama_*.cc are the only files of the project that include llama.h. Not thread-safe.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "ipc/messages.h"
#include "worker/chat_template.h"
#include "worker/pooling.h"

namespace symbiont::worker {

using TokenId = std::int32_t;

/// Tokens of one decode at most.
inline constexpr std::size_t kMaxBatchTokens = 512;
/// As above, of a decode for embeddings: every token of it has a row of outputs. With fewer tokens
/// ggml's attention on the CPU does not work in tiles and takes twice as long.
inline constexpr std::size_t kMaxEmbeddingBatchTokens = 64;

/// Asked often while the engine computes; true makes it give up at once.
using Interrupt = std::function<bool()>;

/// One token on its way into the context.
struct BatchToken {
  TokenId token = 0;
  std::uint32_t position = 0;
  std::uint32_t sequence = 0;
  bool wants_logits = false;
};

/// What a decode leaves: logits of the tokens that want them, or a vector of each token.
enum class Outputs : std::uint8_t { Logits, Embeddings };

/// How a decode ended. Unless Done, nothing of the batch may be relied on: forget() each sequence
/// of it from its first position on.
enum class DecodeEnd : std::uint8_t { Done, Interrupted, NoRoom };

/// Chooses the tokens of one execution.
class Sampler {
 public:
  Sampler() = default;
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;
  virtual ~Sampler() = default;
  /// The next token, from the logits of the last batch's token `index`.
  [[nodiscard]] virtual TokenId sample(std::size_t index) = 0;
};

class LlamaEngine {
 public:
  /// Once, before lock 1: starts the library and makes it silent. Its error lines are kept for
  /// messages.
  static void start_library();
  /// Calls `report` with the reason before llama.cpp aborts the process (a failed assertion).
  static void on_fatal(void (*report)(const Failure& failure));

  /// Loads the model from `model` (read from offset 0; closed when this returns) and makes a
  /// context. Maps the file when it can be mapped and `load.use_mmap`. As many of
  /// `load.max_sequences` sequences as `load.memory_bytes` has room for, at least one.
  [[nodiscard]] static Outcome<std::unique_ptr<LlamaEngine>> load(
      UniqueFd model, const ipc::LoadRequest& load, const std::function<void(float)>& progress);

  virtual ~LlamaEngine() = default;
  LlamaEngine(const LlamaEngine&) = delete;
  LlamaEngine& operator=(const LlamaEngine&) = delete;

  [[nodiscard]] virtual ipc::ReadyReport describe() const = 0;
  [[nodiscard]] virtual const TemplateSource& chat_template() const = 0;
  /// Tokens that all sequences together may hold.
  [[nodiscard]] virtual std::size_t cells() const = 0;

  /// Decodes of each shape, samplers of each kind: afterwards a step makes no new kind of system
  /// call.
  [[nodiscard]] virtual Outcome<void> warm_up() = 0;

  /// Tokens of `text`, control tokens recognised only with `parse_control`. Adds none of its own.
  [[nodiscard]] virtual std::vector<TokenId> tokenize(std::string_view text,
                                                      bool parse_control) const = 0;
  /// The token that begins every prompt of this model, if it wants one.
  [[nodiscard]] virtual bool begin_token(TokenId& token) const = 0;
  /// The token that ends every text of which this model makes an embedding, if it wants one.
  [[nodiscard]] virtual bool end_token(TokenId& token) const = 0;
  [[nodiscard]] virtual bool is_end(TokenId token) const = 0;
  /// The token's bytes, empty for control tokens. Not always whole UTF-8 sequences.
  [[nodiscard]] virtual std::string piece(TokenId token) const = 0;
  /// No token stands for more bytes than this.
  [[nodiscard]] virtual std::size_t longest_piece() const = 0;

  /// Makes `sequence` hold only its first `kept` tokens. False when the model cannot go back: then
  /// it holds none.
  [[nodiscard]] virtual bool forget(std::uint32_t sequence, std::size_t kept) = 0;
  /// Whether sequences can share tokens: a recurrent state cannot be taken apart.
  [[nodiscard]] virtual bool can_share() const = 0;
  /// Makes the empty sequence `to` share the first `count` tokens of `from`, at no cost in cells.
  /// Only where can_share().
  virtual void share(std::uint32_t from, std::uint32_t to, std::size_t count) = 0;
  /// One decode of 1 .. kMaxBatchTokens tokens, or 1 .. kMaxEmbeddingBatchTokens for embeddings.
  [[nodiscard]] virtual Outcome<DecodeEnd> decode(std::span<const BatchToken> batch,
                                                  Outputs outputs,
                                                  const Interrupt& interrupt) = 0;

  /// How the vectors of a text's tokens are put together. Only where describe() has an
  /// embedding_size.
  [[nodiscard]] virtual Pooling pooling() const = 0;
  /// The vector of the last batch's token `index`, after a decode for embeddings; valid until the
  /// next one.
  [[nodiscard]] virtual std::span<const float> embedding(std::size_t index) const = 0;

  /// A sampler for one request. `prompt` is what penalties look back at. InvalidRequest: a grammar
  /// that cannot be parsed, a bias for a token that does not exist; SchemaRefused.
  [[nodiscard]] virtual Outcome<std::unique_ptr<Sampler>> make_sampler(
      const ipc::ExecuteRequest& request, std::span<const TokenId> prompt) = 0;
  /// The chosen token and the `top` likeliest, with logarithms of their probabilities before any
  /// sampling, from the logits of the last batch's token `index`.
  [[nodiscard]] virtual std::vector<ipc::Candidate> logprobs(std::size_t index,
                                                             TokenId chosen,
                                                             std::size_t top) const = 0;

 protected:
  LlamaEngine() = default;
};

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_LLAMA_ENGINE_H_
