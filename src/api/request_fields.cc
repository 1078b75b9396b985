#include "api/request_fields.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

#include <fmt/format.h>

#include "base/strings.h"

namespace symbiont::api {
namespace {

std::string read_part(Fields& part, const TextParts& parts) {
  std::string type;
  if (part.require("type") != nullptr && part.get("type", type, kMaxTagLength) &&
      std::ranges::find(parts.types, type) == parts.types.end()) {
    part.fail("type", fmt::format("{} is not supported; only text is", symbiont::quoted(type)),
              "unsupported_value");
  }
  std::string text;
  if (part.ok() && part.require("text") != nullptr) part.get("text", text, kMaxMessageBytes);
  if (parts.read_more != nullptr) parts.read_more(part);
  return text;
}

std::string format_utc(std::time_t seconds, std::string_view fraction) {
  std::tm utc{};
  if (::gmtime_r(&seconds, &utc) == nullptr) return {};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, fraction);
}

}  // namespace

std::expected<void, ApiError> refuse_query(const Request& request, std::string_view harmless) {
  if (request.query.empty() || request.query == harmless) return {};
  const std::string name = request.query.substr(0, request.query.find('='));
  return std::unexpected(
      ApiError{.kind = ErrorKind::InvalidRequest,
               .message = fmt::format("Unknown query parameter: {}.", symbiont::quoted(name)),
               .param = name.substr(0, kMaxModelIdBytes),
               .code = "unknown_parameter"});
}

std::string read_model(Fields& fields, std::string_view name) {
  std::string model;
  if (fields.require(name) != nullptr && fields.get(name, model, kMaxModelIdBytes) &&
      model.empty()) {
    fields.fail(name, "expected the name of a model");
  }
  return model;
}

void unsupported_unless_one_of(Fields& fields,
                               std::string_view name,
                               std::initializer_list<Json> harmless) {
  const Json* value = fields.find(name);
  if (value == nullptr || std::ranges::find(harmless, *value) != harmless.end()) return;
  fields.unsupported(name);
}

std::vector<std::string> read_stops(Fields& fields, std::string_view name, bool or_one) {
  std::vector<std::string> stops;
  const Json* value = fields.find(name);
  if (value == nullptr) return stops;
  const Json list = or_one && value->is_string() ? Json::array({*value}) : *value;
  if (!list.is_array() ||
      !std::ranges::all_of(list, [](const Json& item) { return item.is_string(); })) {
    fields.fail(
        name, or_one ? "expected a string or an array of strings" : "expected an array of strings",
        "invalid_type");
    return stops;
  }
  if (list.size() > kMaxStops) {
    fields.fail(name, fmt::format("at most {} strings are accepted", kMaxStops));
    return stops;
  }
  for (const Json& item : list) {
    stops.push_back(item.get<std::string>());
    const std::size_t size = stops.back().size();
    if (size == 0 || size > kMaxStopBytes) {
      fields.fail(name,
                  fmt::format("a string has {} bytes; 1 .. {} are accepted", size, kMaxStopBytes));
    }
  }
  return stops;
}

std::string read_text(Fields& fields, std::string_view name, const TextParts& parts) {
  std::string text;
  const Json* value = fields.require(name);
  if (value == nullptr) return text;
  if (value->is_string()) {
    fields.get(name, text, kMaxMessageBytes);
    return text;
  }
  if (!value->is_array()) {
    fields.fail(name, "expected a string or an array of parts", "invalid_type");
    return text;
  }
  for (std::size_t i = 0; i < value->size() && fields.ok(); ++i) {
    Fields part((*value)[i], fields.path_of(fmt::format("{}[{}]", name, i)));
    text += read_part(part, parts);
    if (auto done = part.finish(); !done.has_value()) fields.fail(std::move(done).error());
  }
  if (text.size() > kMaxMessageBytes) {
    fields.fail(name, fmt::format("more than {} bytes", kMaxMessageBytes));
  }
  return text;
}

std::vector<ChatMessage> read_conversation(Fields& fields,
                                           std::string_view name,
                                           const ReadMessage& read_message) {
  std::vector<ChatMessage> messages;
  const Json* value = fields.require(name);
  if (value == nullptr) return messages;
  if (!value->is_array() || value->empty()) {
    fields.fail(name, "expected an array of at least one message", "invalid_type");
    return messages;
  }
  if (value->size() > kMaxMessages) {
    fields.fail(name, fmt::format("at most {} are accepted", kMaxMessages));
    return messages;
  }
  for (std::size_t i = 0; i < value->size() && fields.ok(); ++i) {
    Fields message((*value)[i], fields.path_of(fmt::format("{}[{}]", name, i)));
    read_message(message, messages);
    if (auto done = message.finish(); !done.has_value()) fields.fail(std::move(done).error());
  }
  return messages;
}

std::string schema_text(Fields& fields, std::string_view name, const Json& value) {
  if (!value.is_object()) {
    fields.fail(name, "expected a JSON schema, which is an object", "invalid_type");
    return {};
  }
  std::string text = dump(value);
  if (text.size() > kMaxSchemaBytes) {
    fields.fail(name,
                fmt::format("{} bytes; at most {} are accepted", text.size(), kMaxSchemaBytes));
  }
  return text;
}

std::string id_from_execution(std::string_view prefix, std::string_view execution_id) {
  constexpr std::string_view kExecutionPrefix = "exec-";
  if (execution_id.starts_with(kExecutionPrefix)) {
    execution_id.remove_prefix(kExecutionPrefix.size());
  }
  return std::string(prefix).append(execution_id);
}

std::string timestamp_now() {
  using namespace std::chrono;  // NOLINT(google-build-using-namespace): clocks and units
  const auto now = system_clock::now();
  const auto micros = duration_cast<microseconds>(now.time_since_epoch()).count() % 1'000'000;
  return format_utc(system_clock::to_time_t(floor<seconds>(now)), fmt::format(".{:06}", micros));
}

std::string timestamp(std::int64_t seconds_since_1970) {
  return format_utc(seconds_since_1970, "");
}

}  // namespace symbiont::api
