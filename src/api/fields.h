#ifndef SYMBIONT_API_FIELDS_H_
#define SYMBIONT_API_FIELDS_H_

// Reads one JSON object field by field. Each get() checks type and range; finish() refuses every
// field that nobody asked for, so that the code that reads an object is also the list of its
// fields. The first error counts. null is as good as absent.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>

#include "api/api_error.h"
#include "api/json.h"

namespace symbiont::api {

template <typename T>
struct Range {
  T min;
  T max;
};

class Fields {
 public:
  /// `path` stands in front of names in errors: "messages[3]". `value` outlives this object.
  explicit Fields(const Json& value, std::string path = {});

  /// The value, or nullptr when it is absent or null. From now on the field is known.
  [[nodiscard]] const Json* find(std::string_view name);
  /// As find(), and an error when it is missing.
  const Json* require(std::string_view name);

  // Each sets `into` and returns true when the field is there and right; leaves it otherwise.
  bool get(std::string_view name, bool& into);
  bool get(std::string_view name, std::string& into, std::size_t max_length);  // in characters
  template <typename T>
    requires std::is_arithmetic_v<T>
  bool get(std::string_view name, T& into, Range<T> range) {
    if constexpr (std::is_integral_v<T>) {
      std::int64_t value = 0;
      if (!get_integer(name, value, static_cast<std::int64_t>(range.min),
                       static_cast<std::int64_t>(range.max))) {
        return false;
      }
      into = static_cast<T>(value);
    } else {
      double value = 0;
      if (!get_number(name, value, static_cast<double>(range.min),
                      static_cast<double>(range.max))) {
        return false;
      }
      into = static_cast<T>(value);
    }
    return true;
  }
  template <typename T>
  bool get(std::string_view name, std::optional<T>& into, Range<T> range) {
    T value{};
    if (!get(name, value, range)) return false;
    into = value;
    return true;
  }
  /// A field that is known but does nothing here: an error when it is there.
  void unsupported(std::string_view name);
  /// As above, unless it has the one value that asks for nothing.
  void unsupported_unless(std::string_view name, const Json& harmless);

  /// Records an error about `name` ("" = the object itself), unless there is one.
  void fail(std::string_view name, std::string message, std::string code = "invalid_value");
  /// Takes over an error of something inside.
  void fail(ApiError error);
  [[nodiscard]] bool ok() const { return !error_.has_value(); }
  [[nodiscard]] std::string path_of(std::string_view name) const;

  /// The first error, or one about a field that nobody asked for.
  [[nodiscard]] std::expected<void, ApiError> finish();

 private:
  bool get_integer(std::string_view name, std::int64_t& into, std::int64_t min, std::int64_t max);
  bool get_number(std::string_view name, double& into, double min, double max);
  void wrong_type(std::string_view name, std::string_view wanted);

  const Json* value_;
  std::string path_;
  std::set<std::string, std::less<>> known_;
  std::optional<ApiError> error_;
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_FIELDS_H_
