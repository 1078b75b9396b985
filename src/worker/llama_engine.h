#ifndef SYMBIONT_WORKER_LLAMA_ENGINE_H_
#define SYMBIONT_WORKER_LLAMA_ENGINE_H_

// llama.cpp as the worker uses it: one model, one context, one sequence. llama_engine.cc is the
// only file of the project that includes llama.h. Not thread-safe.

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

namespace symbiont::worker {

using TokenId = std::int32_t;

/// Asked often while the engine computes; true makes it give up at once.
using Interrupt = std::function<bool()>;

class LlamaEngine {
 public:
  /// Once, before lock 1: starts the library and makes it silent. Its error lines are kept for
  /// messages.
  static void start_library();
  /// Calls `report` with the reason before llama.cpp aborts the process (a failed assertion).
  static void on_fatal(void (*report)(const Failure& failure));

  /// Loads the model from `model` (read from offset 0; closed when this returns) and makes a
  /// context. Maps the file when it can be mapped and `load.use_mmap`.
  [[nodiscard]] static Outcome<std::unique_ptr<LlamaEngine>> load(
      UniqueFd model, const ipc::LoadRequest& load, const std::function<void(float)>& progress);

  virtual ~LlamaEngine() = default;
  LlamaEngine(const LlamaEngine&) = delete;
  LlamaEngine& operator=(const LlamaEngine&) = delete;

  [[nodiscard]] virtual ipc::ReadyReport describe() const = 0;
  [[nodiscard]] virtual const TemplateSource& chat_template() const = 0;

  /// One decode of each shape, one sample: afterwards a step makes no new kind of system call.
  [[nodiscard]] virtual Outcome<void> warm_up() = 0;

  /// Tokens of `text`, control tokens recognised only with `parse_control`. Adds none of its own.
  [[nodiscard]] virtual std::vector<TokenId> tokenize(std::string_view text,
                                                      bool parse_control) const = 0;
  /// The token that begins every prompt of this model, if it wants one.
  [[nodiscard]] virtual bool begin_token(TokenId& token) const = 0;
  [[nodiscard]] virtual bool is_end(TokenId token) const = 0;
  /// The token's bytes, empty for control tokens. Not always whole UTF-8 sequences.
  [[nodiscard]] virtual std::string piece(TokenId token) const = 0;
  /// No token stands for more bytes than this.
  [[nodiscard]] virtual std::size_t longest_piece() const = 0;

  /// Makes the context hold exactly `prompt`, keeping what it shares with the last request. Returns
  /// how many tokens were kept. `prompt` has from 1 to context_tokens - 1 tokens. False in
  /// `finished`: interrupted.
  [[nodiscard]] virtual Outcome<std::uint32_t> prefill(std::span<const TokenId> prompt,
                                                       const Interrupt& interrupt,
                                                       bool& finished) = 0;
  /// Begins sampling for one request.
  virtual void start_sampling(const ipc::ExecuteRequest& request,
                              std::span<const TokenId> prompt) = 0;
  /// The next token. After prefill() or decode() that finished.
  [[nodiscard]] virtual TokenId sample() = 0;
  /// Appends a token to the context. False: interrupted, the token is not in.
  [[nodiscard]] virtual Outcome<bool> decode(TokenId token, const Interrupt& interrupt) = 0;

 protected:
  LlamaEngine() = default;
};

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_LLAMA_ENGINE_H_
