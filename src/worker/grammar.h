#ifndef SYMBIONT_WORKER_GRAMMAR_H_
#define SYMBIONT_WORKER_GRAMMAR_H_

// Rules that an answer follows, token by token.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "worker/llama_engine.h"

struct textkit_vocabulary;

namespace symbiont::worker {

/// Its methods throw std::runtime_error when the rules lead nowhere: that ends one execution.
class Grammar {
 public:
  Grammar() = default;
  Grammar(const Grammar&) = delete;
  Grammar& operator=(const Grammar&) = delete;
  virtual ~Grammar() = default;
  [[nodiscard]] virtual bool allows(TokenId token) = 0;
  /// Whether each token of the vocabulary may come next.
  virtual void allowed(std::vector<bool>& tokens) = 0;
  virtual void accept(TokenId token) = 0;
};

/// The tokens of a model for JSON schemas; made at the first use, for it takes some milliseconds.
/// A piece of a control token begins with the byte 0xFF.
[[nodiscard]] const textkit_vocabulary* make_schema_vocabulary(std::span<const std::string> pieces,
                                                               TokenId end);

/// The answer is JSON that follows `schema`. SchemaRefused says what is wrong with it.
[[nodiscard]] Outcome<std::unique_ptr<Grammar>> make_schema_grammar(
    const textkit_vocabulary* vocabulary, std::string_view schema);

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_GRAMMAR_H_
