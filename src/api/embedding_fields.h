#ifndef SYMBIONT_API_EMBEDDING_FIELDS_H_
#define SYMBIONT_API_EMBEDDING_FIELDS_H_

// What requests for embeddings have in common in several APIs.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/engine.h"

#include "api/answer.h"
#include "api/fields.h"
#include "api/gateway.h"

namespace symbiont::api {

inline constexpr std::size_t kMaxEmbeddingInputs = 256;  ///< as the runner's

/// The required field `name`: a text, or with `or_many` an array of 1 .. kMaxEmbeddingInputs. None
/// is empty. Errors stay in `fields`.
[[nodiscard]] std::vector<std::string> read_inputs(Fields& fields,
                                                   std::string_view name,
                                                   bool or_many);

/// `values` with no more digits than a float has: half the text.
[[nodiscard]] Json to_json(std::span<const float> values);

/// One execution, of which an embedding of each of `inputs` comes.
[[nodiscard]] EngineRequest embedding_request(const Gateway& gateway,
                                              const Request& request,
                                              std::string model_id,
                                              std::vector<std::string> inputs);

/// The end is all that a request for embeddings hears of.
class EmbeddingWriter : public AnswerWriter {
 public:
  void on_start(const std::vector<std::string>& /*execution_ids*/) override {}
  void on_text(std::size_t /*choice*/, const TextPiece& /*piece*/, Output& /*out*/) override {}
  void finish(Output& /*out*/) override {}
  void on_error(const ApiError& /*error*/, Output& /*out*/) override {}  // there is no stream
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_EMBEDDING_FIELDS_H_
