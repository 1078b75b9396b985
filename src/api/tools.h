#ifndef SYMBIONT_API_TOOLS_H_
#define SYMBIONT_API_TOOLS_H_

// Functions that a model may call, whatever the API. The model is told about them in a system
// message; where a call is demanded, the answer is held to a JSON schema that only a call
// satisfies.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/engine.h"

#include "api/fields.h"
#include "api/json.h"

namespace symbiont::api {

inline constexpr std::size_t kMaxTools = 128;
inline constexpr std::size_t kMaxToolNameLength = 64;  ///< OpenAI's own bound
inline constexpr std::size_t kMaxToolTextLength = 4096;
inline constexpr std::size_t kMaxCallIdLength = 128;

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

/// Reads name, description, strict, and the JSON schema in the field `schema_name`.
[[nodiscard]] Tool read_tool(Fields& fields, std::string_view schema_name);
/// Reads `tools`, an array of at most kMaxTools, each by `read`; it may be absent. From then on
/// they may be called.
[[nodiscard]] ToolRequest read_tool_list(Fields& fields,
                                         const std::function<Tool(Fields& tool)>& read);
/// Demands a call: of any of the tools, or of the one with this name. Errors are tool_choice's.
void demand_call(Fields& fields, ToolRequest& request);
void demand_call_of(Fields& fields, std::string_view name, ToolRequest& request);

/// Tells the model about the tools, and holds its answer to a call when one is demanded.
void apply(const ToolRequest& request, EngineRequest& execution);

struct ToolCall {
  std::string name;
  Json arguments;  ///< an object
};
/// The call that `response` is, if it is one of `request`'s.
[[nodiscard]] std::optional<ToolCall> find_call(const ToolRequest& request,
                                                std::string_view response);
/// Whether an answer that begins with `text` may turn out to be a call.
[[nodiscard]] bool may_be_call(const ToolRequest& request, std::string_view text);
/// An assistant's `tool_calls`, which may be absent, as it said them; `read` gives one's text.
[[nodiscard]] std::string read_calls(Fields& message,
                                     const std::function<std::string(Fields& call)>& read);
/// How a call stands in a conversation: what find_call() reads.
[[nodiscard]] std::string call_text(std::string_view name, const Json& arguments);

}  // namespace symbiont::api

#endif  // SYMBIONT_API_TOOLS_H_
