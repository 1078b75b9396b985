#ifndef SYMBIONT_API_OPENAI_MESSAGES_H_
#define SYMBIONT_API_OPENAI_MESSAGES_H_

#include <cstddef>
#include <vector>

#include "symbiont/execution.h"

#include "api/fields.h"

namespace symbiont::api::openai {

/// Reads `messages`; errors stay in `fields`. What the engine cannot do (images, sound) is
/// refused by name.
[[nodiscard]] std::vector<ChatMessage> read_messages(Fields& fields);

}  // namespace symbiont::api::openai

#endif  // SYMBIONT_API_OPENAI_MESSAGES_H_
