#ifndef SYMBIONT_API_JSON_H_
#define SYMBIONT_API_JSON_H_

// JSON from outside: bounded before anything is allocated for it.

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "api/api_error.h"

namespace symbiont::api {

using Json = nlohmann::ordered_json;

inline constexpr std::size_t kMaxJsonDepth = 32;
inline constexpr std::size_t kMaxJsonValues = 65'536;  ///< a value costs about 50 bytes

/// The object that `text` holds. InvalidRequest for anything else: not JSON, not an object, a name
/// twice in one object, too deep, too many values.
[[nodiscard]] std::expected<Json, ApiError> parse_object(std::string_view text);

/// One line of text; what is not UTF-8 becomes U+FFFD.
[[nodiscard]] std::string dump(const Json& json);

}  // namespace symbiont::api

#endif  // SYMBIONT_API_JSON_H_
