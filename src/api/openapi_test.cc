#include "api/openapi.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "api/answer.h"
#include "api/json.h"
#include "api/openai/options.h"
#include "api/openai/tools.h"
#include "api/request_fields.h"
#include "api/routes.h"

namespace symbiont::api {
namespace {

using Rows = std::set<std::pair<std::string, std::string>>;  // method, path

Json document() {
  return Json::parse(openapi_text());
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

/// Calls `look` with method, path and object of every operation.
template <typename Look>
void for_each_operation(const Json& document, const Look& look) {
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, operation] : methods.items())
      look(method, path, operation);
  }
}

TEST(OpenapiTest, ThePathsOfTheDocumentAreTheRoutes) {
  Rows served;
  for (const Route& route : routes())
    served.emplace(lower(to_string(route.method)), route.pattern);
  Rows described;
  for_each_operation(document(),
                     [&](const std::string& method, const std::string& path,
                         const Json& /*operation*/) { described.emplace(method, path); });
  EXPECT_EQ(described, served);
}

TEST(OpenapiTest, EveryOperationSaysItsScopeAndItsErrors) {
  std::set<std::string> ids;
  for_each_operation(
      document(), [&](const std::string& method, const std::string& path, const Json& operation) {
        SCOPED_TRACE(method + " " + path);
        EXPECT_TRUE(ids.insert(operation["operationId"].get<std::string>()).second) << "twice";
        const auto route = std::ranges::find_if(routes(), [&](const Route& row) {
          return row.pattern == path && lower(to_string(row.method)) == method;
        });
        ASSERT_NE(route, routes().end());
        const bool is_public = route->scope == Scope::Public;
        EXPECT_EQ(operation.contains("security"), is_public);
        const std::string scope = operation.value("x-scope", "public");
        EXPECT_EQ(scope, is_public                          ? "public"
                         : route->scope == Scope::Inference ? "inference"
                         : route->scope == Scope::Read      ? "read"
                                                            : "admin");
        EXPECT_EQ(operation["responses"].contains("401"), !is_public);
        EXPECT_TRUE(operation["responses"].contains("403"));
      });
}

TEST(OpenapiTest, EveryReferenceLeadsSomewhere) {
  const Json whole = document();
  const std::string text = openapi_text();
  constexpr std::string_view kMark = "\"$ref\": \"#";
  std::size_t count = 0;
  for (std::size_t at = text.find(kMark); at != std::string::npos; at = text.find(kMark, at + 1)) {
    const std::size_t from = at + kMark.size();
    const std::string pointer = text.substr(from, text.find('"', from) - from);
    EXPECT_TRUE(whole.contains(Json::json_pointer(pointer))) << pointer;
    ++count;
  }
  EXPECT_GT(count, 100U);
}

TEST(OpenapiTest, BoundsAreThoseOfTheReaders) {
  const Json schemas = document()["components"]["schemas"];
  const auto number = [&](const char* pointer) {
    return schemas.at(Json::json_pointer(pointer)).get<std::uint64_t>();
  };
  const std::string chat = "/ChatRequest/properties";
  EXPECT_EQ(number("/ModelName/maxLength"), kMaxModelIdBytes);
  EXPECT_EQ(number("/MaxTokens/maximum"), kMaxTokensLimit);
  EXPECT_EQ(number((chat + "/messages/maxItems").c_str()), kMaxMessages);
  EXPECT_EQ(number((chat + "/tools/maxItems").c_str()), kMaxTools);
  EXPECT_EQ(number((chat + "/n/maximum").c_str()), kMaxChoices);
  EXPECT_EQ(number((chat + "/top_logprobs/maximum").c_str()), openai::kMaxTopLogprobs);
  EXPECT_EQ(number((chat + "/logit_bias/maxProperties").c_str()), openai::kMaxBiases);
  EXPECT_EQ(number((chat + "/user/maxLength").c_str()), kMaxTagLength);
  EXPECT_EQ(number("/Stop/oneOf/0/maxLength"), kMaxStopBytes);
  EXPECT_EQ(number("/Stop/oneOf/1/maxItems"), kMaxStops);
  EXPECT_EQ(number("/TextParts/oneOf/0/maxLength"), kMaxMessageBytes);
}

}  // namespace
}  // namespace symbiont::api
