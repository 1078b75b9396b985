#ifndef SYMBIONT_API_ROUTES_H_
#define SYMBIONT_API_ROUTES_H_

// Every path there is, in one table. What is not in it does not exist.

#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "api/answer.h"
#include "api/gateway.h"
#include "api/http.h"

namespace symbiont::api {

using Handler = Handled (*)(Gateway& gateway, const Request& request);

// In the order in which the table is read.
struct Route {  // NOLINT(clang-analyzer-optin.performance.Padding)
  Method method;
  std::string_view
      pattern;  ///< a trailing {id} stands for the rest of the path, which is not empty
  Scope scope;  ///< what the caller's identity must have
  Handler handler;
  ErrorRenderer render_error;
};

[[nodiscard]] std::span<const Route> routes();

/// The row for a request and what its {id} stands for. Else NotFound, or WrongMethod with Allow.
struct RouteMatch {
  const Route* route = nullptr;
  std::string parameter;
};
[[nodiscard]] std::expected<RouteMatch, ApiError> find_route(Method method, std::string_view path);

/// How errors are said for a path that has no row: as the API would whose paths are like it.
[[nodiscard]] ErrorRenderer error_renderer_for(const Request& request);

}  // namespace symbiont::api

#endif  // SYMBIONT_API_ROUTES_H_
