#include "api/fields.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/strings.h"

namespace symbiont::api {

namespace {

/// Code points, as JSON Schema counts; `text` is UTF-8.
std::size_t length_of(std::string_view text) {
  constexpr unsigned kTopBits = 0xC0;
  constexpr unsigned kContinuation = 0x80;
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & kTopBits) != kContinuation; }));
}

}  // namespace

Fields::Fields(const Json& value, std::string path) : value_(&value), path_(std::move(path)) {
  if (!value.is_object()) wrong_type("", "an object");
}

std::string Fields::path_of(std::string_view name) const {
  if (path_.empty()) return std::string(name);
  return name.empty() ? path_ : fmt::format("{}.{}", path_, name);
}

void Fields::fail(std::string_view name, std::string message, std::string code) {
  fail({.kind = ErrorKind::InvalidRequest,
        .message = fmt::format("Invalid {}: {}.", symbiont::quoted(path_of(name)), message),
        .param = path_of(name),
        .code = std::move(code)});
}

void Fields::fail(ApiError error) {
  if (!error_.has_value()) error_ = std::move(error);
}

void Fields::wrong_type(std::string_view name, std::string_view wanted) {
  fail(name, fmt::format("expected {}", wanted), "invalid_type");
}

const Json* Fields::find(std::string_view name) {
  known_.emplace(name);
  if (!value_->is_object()) return nullptr;
  const auto found = value_->find(name);
  return found == value_->end() || found->is_null() ? nullptr : &*found;
}

const Json* Fields::require(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr) {
    fail(
        {.kind = ErrorKind::InvalidRequest,
         .message = fmt::format("Missing required parameter: {}.", symbiont::quoted(path_of(name))),
         .param = path_of(name),
         .code = "missing_required_parameter"});
  }
  return value;
}

bool Fields::get(std::string_view name, bool& into) {
  const Json* value = find(name);
  if (value == nullptr) return false;
  if (!value->is_boolean()) {
    wrong_type(name, "a boolean");
    return false;
  }
  into = value->get<bool>();
  return true;
}

bool Fields::get(std::string_view name, std::string& into, std::size_t max_length) {
  const Json* value = find(name);
  if (value == nullptr) return false;
  if (!value->is_string()) {
    wrong_type(name, "a string");
    return false;
  }
  const auto& text = value->get_ref<const std::string&>();
  if (const std::size_t length = length_of(text); length > max_length) {
    fail(name, fmt::format("{} characters; at most {} are accepted", length, max_length));
    return false;
  }
  into = text;
  return true;
}

bool Fields::get_integer(std::string_view name,
                         std::int64_t& into,
                         std::int64_t min,
                         std::int64_t max) {
  const Json* value = find(name);
  if (value == nullptr) return false;
  // 5.0 is an integer to JSON Schema, and some clients have only one kind of number.
  constexpr double kExact = 9'007'199'254'740'992.0;
  std::int64_t number = 0;
  bool fits = value->is_number_integer();
  if (value->is_number_unsigned()) {
    fits = value->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX);
  } else if (value->is_number_float()) {
    const double d = value->get<double>();
    fits = std::trunc(d) == d && std::abs(d) <= kExact;
  }
  if (!value->is_number() || (value->is_number_float() && !fits)) {
    wrong_type(name, "an integer");
    return false;
  }
  if (fits) number = value->get<std::int64_t>();
  if (!fits || number < min || number > max) {
    fail(name, fmt::format("not within {} .. {}", min, max));
    return false;
  }
  into = number;
  return true;
}

bool Fields::get_number(std::string_view name, double& into, double min, double max) {
  const Json* value = find(name);
  if (value == nullptr) return false;
  if (!value->is_number()) {
    wrong_type(name, "a number");
    return false;
  }
  const auto number = value->get<double>();
  if (!std::isfinite(number) || number < min || number > max) {
    fail(name, fmt::format("not within {} .. {}", min, max));
    return false;
  }
  into = number;
  return true;
}

void Fields::unsupported(std::string_view name) {
  if (find(name) == nullptr) return;
  fail({.kind = ErrorKind::InvalidRequest,
        .message = fmt::format("Unsupported parameter: {} is not supported by this server.",
                               symbiont::quoted(path_of(name))),
        .param = path_of(name),
        .code = "unsupported_parameter"});
}

void Fields::unsupported_unless(std::string_view name, const Json& harmless) {
  const Json* value = find(name);
  if (value == nullptr || *value == harmless) return;
  unsupported(name);
}

std::expected<void, ApiError> Fields::finish() {
  if (error_.has_value()) return std::unexpected(*error_);
  for (const auto& [name, value] : value_->items()) {
    if (known_.contains(name)) continue;
    const std::vector<std::string_view> candidates(known_.begin(), known_.end());
    const std::string_view meant = closest_match(name, candidates);
    std::string message =
        fmt::format("Unknown parameter: {}.", symbiont::quoted(path_of(name), 256));
    if (!meant.empty()) message += fmt::format(" Did you mean '{}'?", meant);
    return std::unexpected(ApiError{.kind = ErrorKind::InvalidRequest,
                                    .message = std::move(message),
                                    .param = path_of(name).substr(0, 256),
                                    .code = "unknown_parameter"});
  }
  return {};
}

}  // namespace symbiont::api
