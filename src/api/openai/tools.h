#ifndef SYMBIONT_API_OPENAI_TOOLS_H_
#define SYMBIONT_API_OPENAI_TOOLS_H_

// How OpenAI's requests say which functions may be called. Errors stay in `fields`.

#include "api/fields.h"
#include "api/tools.h"

namespace symbiont::api::openai {

/// The tools of a chat, each inside of a field "function", which Ollama has, too.
[[nodiscard]] ToolRequest read_chat_tools(Fields& fields);
/// Reads tools, tool_choice and parallel_tool_calls of a chat.
[[nodiscard]] ToolRequest read_tools(Fields& fields);
/// As above for /v1/responses, where a function's fields stand beside its type.
[[nodiscard]] ToolRequest read_response_tools(Fields& fields);

}  // namespace symbiont::api::openai

#endif  // SYMBIONT_API_OPENAI_TOOLS_H_
