#ifndef SYMBIONT_API_OPENAI_RESPONSES_H_
#define SYMBIONT_API_OPENAI_RESPONSES_H_

#include "api/answer.h"
#include "api/gateway.h"

namespace symbiont::api::openai {

/// POST /v1/responses. Nothing is stored: a conversation is sent as a whole each time.
[[nodiscard]] Handled create_response(Gateway& gateway, const Request& request);

}  // namespace symbiont::api::openai

#endif  // SYMBIONT_API_OPENAI_RESPONSES_H_
