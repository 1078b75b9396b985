#ifndef SYMBIONT_API_OPENAI_CHAT_H_
#define SYMBIONT_API_OPENAI_CHAT_H_

#include "api/answer.h"
#include "api/gateway.h"

namespace symbiont::api::openai {

/// POST /v1/chat/completions
[[nodiscard]] Handled create_chat_completion(Gateway& gateway, const Request& request);

}  // namespace symbiont::api::openai

#endif  // SYMBIONT_API_OPENAI_CHAT_H_
