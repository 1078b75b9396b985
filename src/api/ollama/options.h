#ifndef SYMBIONT_API_OLLAMA_OPTIONS_H_
#define SYMBIONT_API_OLLAMA_OPTIONS_H_

// What chat and generate have in common, and the names of models.

#include <string>
#include <string_view>

#include "symbiont/execution.h"

#include "api/fields.h"
#include "api/gateway.h"

namespace symbiont::api::ollama {

/// The id of the model that `name` means to `agent`: "id" or "id:latest".
[[nodiscard]] std::string resolve_model(const Gateway& gateway,
                                        std::string_view agent,
                                        const std::string& name);

/// Reads options, format, keep_alive, think and logprobs; errors stay in `fields`. What the engine
/// cannot do is refused by name.
void read_common_fields(Fields& fields, ExecutionOptions& into);

/// Reads what a request for embeddings can say about how it is run: keep_alive, and of the options
/// num_ctx, as above.
void read_surroundings(Fields& fields);

/// Whether `text` is a duration as Go reads it: "300ms", "-1.5h", "2h45m", "0".
[[nodiscard]] bool is_duration(std::string_view text);

}  // namespace symbiont::api::ollama

#endif  // SYMBIONT_API_OLLAMA_OPTIONS_H_
