#include "api/json.h"

#include <string>

#include <gtest/gtest.h>

namespace symbiont::api {
namespace {

TEST(ParseObjectTest, TakesAnObject) {
  const auto json = parse_object(R"({"a": [1, {"b": "}]\""}]})");
  ASSERT_TRUE(json.has_value()) << json.error().message;
  EXPECT_EQ((*json)["a"][1]["b"], "}]\"");
}

TEST(ParseObjectTest, RefusesEverythingElse) {
  for (const std::string text : {"", "x", "[]", "3", "null", "{\"a\":1", "{\"a\":1}x",
                                 "{\"a\":\"\xff\"}", "{\"a\": NaN}", "{'a': 1}"}) {
    const auto json = parse_object(text);
    ASSERT_FALSE(json.has_value()) << text;
    EXPECT_EQ(json.error().kind, ErrorKind::InvalidRequest);
  }
}

TEST(ParseObjectTest, RefusesANameTwice) {
  EXPECT_FALSE(parse_object(R"({"model": "a", "model": "b"})").has_value());
  EXPECT_FALSE(parse_object(R"({"x": {"model": "a", "model": "b"}})").has_value());
  EXPECT_TRUE(parse_object(R"({"x": {"model": "a"}, "model": "b"})").has_value());
}

TEST(ParseObjectTest, DepthAndValuesAreBounded) {
  const auto nested = [](std::size_t depth) {
    return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  EXPECT_TRUE(parse_object(nested(kMaxJsonDepth)).has_value());
  EXPECT_FALSE(parse_object(nested(kMaxJsonDepth + 1)).has_value());
  EXPECT_FALSE(parse_object(std::string(1'000'000, '[')).has_value());
  std::string many = "{\"a\":[0";
  for (std::size_t i = 0; i < kMaxJsonValues; ++i)
    many += ",0";
  EXPECT_FALSE(parse_object(many + "]}").has_value());
}

}  // namespace
}  // namespace symbiont::api
