#include <cstddef>
#include <stdexcept>
#include <utility>

#include "worker/grammar.h"
#include "worker/textkit/textkit.h"

namespace symbiont::worker {
namespace {

using ipc::fb::FailureKind;

constexpr std::size_t kWordBits = 32;

struct ConstraintDeleter {
  void operator()(textkit_constraint* constraint) const { textkit_constraint_free(constraint); }
};
using ConstraintPtr = std::unique_ptr<textkit_constraint, ConstraintDeleter>;

[[noreturn]] void lead_nowhere() {
  throw std::runtime_error("the JSON schema cannot be followed any further");
}

class SchemaGrammar final : public Grammar {
 public:
  explicit SchemaGrammar(ConstraintPtr constraint) : constraint_(std::move(constraint)) {}

  bool allows(TokenId token) override {
    const int allowed =
        textkit_constraint_allows(constraint_.get(), static_cast<std::uint32_t>(token));
    if (allowed < 0) lead_nowhere();
    return allowed == 1;
  }
  void allowed(std::vector<bool>& tokens) override {
    words_.assign(tokens.size() / kWordBits + 1, 0);
    if (textkit_constraint_mask(constraint_.get(), words_.data(), words_.size()) < 0)
      lead_nowhere();
    for (std::size_t token = 0; token < tokens.size(); ++token)
      tokens[token] = ((words_[token / kWordBits] >> (token % kWordBits)) & 1U) != 0;
  }
  void accept(TokenId token) override {
    if (textkit_constraint_accept(constraint_.get(), static_cast<std::uint32_t>(token)) < 0)
      lead_nowhere();
  }

 private:
  ConstraintPtr constraint_;
  std::vector<std::uint32_t> words_;
};

const std::uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());  // NOLINT: textkit's interface
}

}  // namespace

const textkit_vocabulary* make_schema_vocabulary(std::span<const std::string> pieces, TokenId end) {
  std::string bytes;
  std::vector<std::uint32_t> sizes;
  sizes.reserve(pieces.size());
  for (const std::string& piece : pieces) {
    bytes += piece;
    sizes.push_back(static_cast<std::uint32_t>(piece.size()));
  }
  return textkit_vocabulary_new(bytes_of(bytes), sizes.data(),
                                static_cast<std::uint32_t>(sizes.size()),
                                static_cast<std::uint32_t>(end));
}

Outcome<std::unique_ptr<Grammar>> make_schema_grammar(const textkit_vocabulary* vocabulary,
                                                      std::string_view schema) {
  if (vocabulary == nullptr) {
    return std::unexpected(
        Failure{.message = "the model's vocabulary cannot be used with JSON schemas"});
  }
  std::uint8_t* error = nullptr;
  std::size_t size = 0;
  ConstraintPtr constraint(
      textkit_constraint_new(vocabulary, bytes_of(schema), schema.size(), &error, &size));
  if (constraint) return std::make_unique<SchemaGrammar>(std::move(constraint));
  const std::string reason(error, error + size);
  textkit_free(error, size);
  return std::unexpected(Failure{.kind = FailureKind::SchemaRefused, .message = reason});
}

}  // namespace symbiont::worker
