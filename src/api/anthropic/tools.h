#ifndef SYMBIONT_API_ANTHROPIC_TOOLS_H_
#define SYMBIONT_API_ANTHROPIC_TOOLS_H_

// Tools in Anthropic's requests. Errors stay in `fields`.

#include <string>

#include "symbiont/execution.h"

#include "api/fields.h"
#include "api/tools.h"

namespace symbiont::api::anthropic {

/// Reads tools, of which those that Anthropic's servers run are refused, and tool_choice.
[[nodiscard]] ToolRequest read_tools(Fields& fields);
/// A block "tool_use" of an earlier answer, as the model said it.
[[nodiscard]] std::string read_tool_use(Fields& block);
/// A block "tool_result": what the tool said.
[[nodiscard]] ChatMessage read_tool_result(Fields& block);

}  // namespace symbiont::api::anthropic

#endif  // SYMBIONT_API_ANTHROPIC_TOOLS_H_
