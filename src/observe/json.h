#ifndef SYMBIONT_OBSERVE_JSON_H_
#define SYMBIONT_OBSERVE_JSON_H_

// Results and errors as JSON, one object each: `--json`, the audit log and the admin API share it.

#include <nlohmann/json.hpp>

#include "symbiont/execution.h"
#include "symbiont/runner_error.h"

namespace symbiont::observe {

using Json = nlohmann::ordered_json;

[[nodiscard]] Json to_json(const Verdict& verdict);
[[nodiscard]] Json to_json(const ControlReport& controls);
/// Everything but the text.
[[nodiscard]] Json to_json(const ExecutionMetadata& metadata);
/// As above, with `response`.
[[nodiscard]] Json to_json(const ExecutionResult& result);
/// As above, with `error{code,message,...}` and `partial_response` in place of `response`.
[[nodiscard]] Json to_json(const SlmRunnerError& error);

/// Text of a value; bytes that are not UTF-8 become U+FFFD. `indent` < 0: one line.
[[nodiscard]] std::string dump(const Json& json, int indent = -1);

}  // namespace symbiont::observe

#endif  // SYMBIONT_OBSERVE_JSON_H_
