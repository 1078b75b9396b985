#ifndef SYMBIONT_API_ANTHROPIC_MESSAGES_H_
#define SYMBIONT_API_ANTHROPIC_MESSAGES_H_

#include "api/answer.h"
#include "api/gateway.h"
#include "api/request_fields.h"

namespace symbiont::api::anthropic {

/// POST /v1/messages
[[nodiscard]] Handled create_message(Gateway& gateway, const Request& request);
/// POST /v1/messages/count_tokens: the prompt's exact length; nothing is answered.
[[nodiscard]] Handled count_tokens(Gateway& gateway, const Request& request);

/// What a block of text may have beside its text, in all its places.
[[nodiscard]] TextParts text_blocks();

}  // namespace symbiont::api::anthropic

#endif  // SYMBIONT_API_ANTHROPIC_MESSAGES_H_
