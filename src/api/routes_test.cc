#include "api/routes.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace symbiont::api {
namespace {

// Who adds a row that needs no scope has to say so here, too.
const std::set<std::string_view> kPublic = {"/healthz", "/readyz"};

TEST(RoutesTest, EveryPathNeedsAScopeUnlessItIsListedHere) {
  EXPECT_FALSE(routes().empty());
  std::set<std::pair<Method, std::string_view>> seen;
  for (const Route& route : routes()) {
    SCOPED_TRACE(route.pattern);
    EXPECT_NE(route.handler, nullptr);
    EXPECT_NE(route.render_error, nullptr);
    EXPECT_TRUE(route.pattern.starts_with('/'));
    EXPECT_TRUE(seen.emplace(route.method, route.pattern).second) << "twice";
    EXPECT_EQ(route.scope == Scope::Public, kPublic.contains(route.pattern));
    EXPECT_EQ(route.scope == Scope::Admin, route.pattern.starts_with("/admin/"));
    EXPECT_EQ(route.scope == Scope::Inference,
              route.pattern.starts_with("/v1/") || route.pattern.starts_with("/api/"));
  }
}

TEST(RoutesTest, FindsARowByMethodAndPath) {
  for (const Route& route : routes()) {
    std::string path(route.pattern);
    const bool has_parameter = path.ends_with("{id}");
    if (has_parameter) path.replace(path.size() - 4, 4, "a%2Fb/c");
    const auto match = find_route(route.method, path);
    ASSERT_TRUE(match.has_value()) << path;
    EXPECT_EQ(match->route, &route);
    EXPECT_EQ(match->parameter, has_parameter ? "a/b/c" : "");
  }
}

TEST(RoutesTest, WhatIsNotInTheTableDoesNotExist) {
  for (const std::string_view path :
       {"/", "", "/v1", "/v1/", "/v1/models/", "/v1/models/%", "/v1//models", "/v1/modelsx",
        "/V1/models", "/v1/models/../../admin", "//healthz", "/healthz/", "/admin", "/metrics?x"}) {
    const auto match = find_route(Method::Get, path);
    if (path == "/v1/models/../../admin") {
      // Nothing normalises paths here: this is a model with a strange name.
      ASSERT_TRUE(match.has_value());
      EXPECT_EQ(match->parameter, "../../admin");
      continue;
    }
    ASSERT_FALSE(match.has_value()) << path;
    EXPECT_EQ(match.error().kind, ErrorKind::NotFound) << path;
  }
}

TEST(RoutesTest, AWrongMethodSaysWhichAreRight) {
  const auto match = find_route(Method::Get, "/v1/chat/completions");
  ASSERT_FALSE(match.has_value());
  EXPECT_EQ(match.error().kind, ErrorKind::WrongMethod);
  ASSERT_EQ(match.error().headers.size(), 1U);
  EXPECT_EQ(match.error().headers[0].name, "Allow");
  EXPECT_EQ(match.error().headers[0].value, "POST");
  EXPECT_FALSE(find_route(Method::Other, "/healthz").has_value());
}

}  // namespace
}  // namespace symbiont::api
