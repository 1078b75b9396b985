#ifndef SYMBIONT_API_REQUEST_FIELDS_H_
#define SYMBIONT_API_REQUEST_FIELDS_H_

// Pieces of requests that are alike in several APIs. Errors stay in the Fields they are read from.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/execution.h"

#include "api/fields.h"
#include "api/http.h"

namespace symbiont::api {

inline constexpr std::size_t kMaxModelIdBytes = 256;
inline constexpr std::size_t kMaxMessages = 1'024;
inline constexpr std::size_t kMaxMessageBytes = std::size_t{1} << 20U;
inline constexpr std::size_t kMaxStops = 16;
inline constexpr std::size_t kMaxStopBytes = 256;
inline constexpr std::size_t kMaxSchemaBytes = std::size_t{256} << 10U;  ///< as the runner's
inline constexpr std::size_t kMaxTagLength = 512;  ///< of a text that has no effect on the answer
inline constexpr std::uint32_t kMaxTokensLimit = 1'048'576;
inline constexpr std::uint32_t kDefaultMaxTokens = 2'048;  ///< where a request does not say

/// InvalidRequest when there is a query that is not exactly `harmless`.
[[nodiscard]] std::expected<void, ApiError> refuse_query(const Request& request,
                                                         std::string_view harmless = {});

/// The required field `name`, not empty.
[[nodiscard]] std::string read_model(Fields& fields, std::string_view name = "model");

/// As Fields::unsupported_unless, with several values that ask for nothing.
void unsupported_unless_one_of(Fields& fields,
                               std::string_view name,
                               std::initializer_list<Json> harmless);

/// Stop strings: an array, or with `or_one` also a single string.
[[nodiscard]] std::vector<std::string> read_stops(Fields& fields,
                                                  std::string_view name,
                                                  bool or_one);

/// What a part of a content may be, and a look at its other fields.
struct TextParts {
  std::vector<std::string_view> types;
  std::function<void(Fields& part)> read_more;  ///< may be null
};
/// The required field `name`: a string, or an array of parts, whose texts are put together.
[[nodiscard]] std::string read_text(Fields& fields, std::string_view name, const TextParts& parts);

/// The required array `name` of 1 .. kMaxMessages messages, each of which `read_message` adds.
using ReadMessage = std::function<void(Fields& message, std::vector<ChatMessage>& into)>;
[[nodiscard]] std::vector<ChatMessage> read_conversation(Fields& fields,
                                                         std::string_view name,
                                                         const ReadMessage& read_message);

/// A JSON schema as text for ExecutionOptions, from `value`, which stands in the field `name`.
[[nodiscard]] std::string schema_text(Fields& fields, std::string_view name, const Json& value);

/// "exec-0123" becomes PREFIX0123.
[[nodiscard]] std::string id_from_execution(std::string_view prefix, std::string_view execution_id);

/// "2026-01-31T23:59:59.123456Z", of now.
[[nodiscard]] std::string timestamp_now();
[[nodiscard]] std::string timestamp(std::int64_t seconds_since_1970);

}  // namespace symbiont::api

#endif  // SYMBIONT_API_REQUEST_FIELDS_H_
