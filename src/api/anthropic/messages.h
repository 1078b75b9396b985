#ifndef SYMBIONT_API_ANTHROPIC_MESSAGES_H_
#define SYMBIONT_API_ANTHROPIC_MESSAGES_H_

#include "api/answer.h"
#include "api/fields.h"
#include "api/gateway.h"
#include "api/request_fields.h"

namespace symbiont::api::anthropic {

/// POST /v1/messages
[[nodiscard]] Handled create_message(Gateway& gateway, const Request& request);
/// POST /v1/messages/count_tokens: the prompt's exact length; nothing is answered.
[[nodiscard]] Handled count_tokens(Gateway& gateway, const Request& request);

/// Reads "cache_control", which asks that a prompt's beginning up to there be remembered. That is
/// done unasked, for as long as there is room: its lifetimes promise nothing here.
void read_cache_control(Fields& fields);

/// What a block of text may have beside its text, in all its places.
[[nodiscard]] TextParts text_blocks();

}  // namespace symbiont::api::anthropic

#endif  // SYMBIONT_API_ANTHROPIC_MESSAGES_H_
