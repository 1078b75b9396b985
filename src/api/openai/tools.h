#ifndef SYMBIONT_API_OPENAI_TOOLS_H_
#define SYMBIONT_API_OPENAI_TOOLS_H_

// Functions that a model may call. The model is told about them in a system message; where a call
// is demanded, the answer is held to a JSON schema that only a call satisfies.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/engine.h"

#include "api/fields.h"
#include "api/json.h"

namespace symbiont::api::openai {

inline constexpr std::size_t kMaxTools = 128;
inline constexpr std::size_t kMaxToolNameBytes = 64;  ///< OpenAI's own bound
inline constexpr std::size_t kMaxToolTextBytes = 4096;

struct Tool {
  std::string name;  ///< letters, digits, '_' and '-'
  std::string description;
  Json parameters;  ///< a JSON schema of an object
};

enum class ToolUse : std::uint8_t { None, Auto, Required };

struct ToolRequest {
  std::vector<Tool> tools;  ///< those that may be called
  ToolUse use = ToolUse::None;
};

/// Reads tools, tool_choice and parallel_tool_calls; errors stay in `fields`.
[[nodiscard]] ToolRequest read_tools(Fields& fields);

/// Tells the model about the tools, and holds its answer to a call when one is required.
void apply(const ToolRequest& request, EngineRequest& execution);

struct ToolCall {
  std::string name;
  std::string arguments;  ///< JSON text of an object
};
/// The call that `response` is, if it is one of `request`'s.
[[nodiscard]] std::optional<ToolCall> find_call(const ToolRequest& request,
                                                std::string_view response);
/// How a call stands in a conversation: what find_call() reads.
[[nodiscard]] std::string call_text(std::string_view name, const Json& arguments);

}  // namespace symbiont::api::openai

#endif  // SYMBIONT_API_OPENAI_TOOLS_H_
