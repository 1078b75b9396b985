#include "api/json.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/strings.h"

namespace symbiont::api {
namespace {

std::unexpected<ApiError> invalid(std::string message, std::string code = "invalid_json") {
  return std::unexpected(ApiError{
      .kind = ErrorKind::InvalidRequest, .message = std::move(message), .code = std::move(code)});
}

/// Depth and number of values, found without building anything. Wrong for text that is not JSON,
/// which the parser refuses anyway.
struct Extent {
  std::size_t depth = 0;
  std::size_t values = 1;
};

Extent measure(std::string_view text) {
  Extent extent;
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '[' || c == '{') extent.depth = std::max(extent.depth, ++depth);
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (c == ',' || c == '[' || c == '{') ++extent.values;
  }
  return extent;
}

/// Finds a name that stands twice in one object: which one counts differs between parsers.
class DuplicateNames {
 public:
  bool operator()(int /*depth*/, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start) open_.emplace_back();
    if (event == Event::object_end) open_.pop_back();
    if (event == Event::key && !found_.has_value()) {
      const auto& name = parsed.get_ref<const std::string&>();
      if (!open_.back().insert(name).second) found_ = name;
    }
    return true;
  }
  [[nodiscard]] const std::optional<std::string>& found() const { return found_; }

 private:
  std::vector<std::set<std::string>> open_;
  std::optional<std::string> found_;
};

}  // namespace

std::expected<Json, ApiError> parse_object(std::string_view text) {
  if (text.empty()) return invalid("The request has no body; a JSON object is expected.");
  const Extent extent = measure(text);
  if (extent.depth > kMaxJsonDepth) {
    return invalid(fmt::format("The JSON is nested deeper than {} levels.", kMaxJsonDepth));
  }
  if (extent.values > kMaxJsonValues) {
    return invalid(fmt::format("The JSON has more than {} values.", kMaxJsonValues));
  }
  DuplicateNames names;
  const auto watch = [&names](int depth, Json::parse_event_t event, Json& parsed) {
    return names(depth, event, parsed);
  };
  Json json = Json::parse(text, watch, /*allow_exceptions=*/false);
  if (json.is_discarded()) return invalid("The body is not valid JSON.");
  if (!json.is_object()) return invalid("The body has to be a JSON object.");
  if (names.found().has_value()) {
    return invalid(
        fmt::format("The name {} stands twice in one object.", symbiont::quoted(*names.found())));
  }
  return json;
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace symbiont::api
