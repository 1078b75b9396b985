#include "api/fields.h"

#include <string>

#include <gtest/gtest.h>

namespace symbiont::api {
namespace {

ApiError error_of(Fields& fields) {
  auto done = fields.finish();
  EXPECT_FALSE(done.has_value());
  return done.has_value() ? ApiError{} : done.error();
}

TEST(FieldsTest, TheLengthOfATextIsInCharacters) {
  const Json json = {{"fits", "\u00e4\u20ac\U0001f600"}, {"long", "\u00e4\u20ac\U0001f600."}};
  Fields fields(json);
  std::string text;
  EXPECT_TRUE(fields.get("fits", text, 3));
  EXPECT_EQ(text, "\u00e4\u20ac\U0001f600");
  EXPECT_FALSE(fields.get("long", text, 3));
  const auto done = fields.finish();
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().message, "Invalid 'long': 4 characters; at most 3 are accepted.");
}

TEST(FieldsTest, ReadsWhatIsThere) {
  const Json json = {
      {"text", "x"}, {"flag", true}, {"count", 3.0}, {"part", 0.5}, {"gone", nullptr}};
  Fields fields(json);
  std::string text;
  bool flag = false;
  int count = 0;
  float part = 0;
  int gone = 7;
  EXPECT_TRUE(fields.get("text", text, 10));
  EXPECT_TRUE(fields.get("flag", flag));
  EXPECT_TRUE(fields.get("count", count, Range<int>{1, 8}));
  EXPECT_TRUE(fields.get("part", part, Range<float>{0, 1}));
  EXPECT_FALSE(fields.get("gone", gone, Range<int>{0, 1}));
  EXPECT_FALSE(fields.get("absent", gone, Range<int>{0, 1}));
  EXPECT_TRUE(fields.finish().has_value());
  EXPECT_EQ(text, "x");
  EXPECT_TRUE(flag);
  EXPECT_EQ(count, 3);
  EXPECT_EQ(part, 0.5F);
  EXPECT_EQ(gone, 7);
}

TEST(FieldsTest, RefusesUnknownFieldsAndSuggests) {
  const Json json = {{"temprature", 1}};
  Fields fields(json, "options");
  float temperature = 0;
  (void)fields.get("temperature", temperature, Range<float>{0, 2});
  const ApiError error = error_of(fields);
  EXPECT_EQ(error.param, "options.temprature");
  EXPECT_EQ(error.code, "unknown_parameter");
  EXPECT_NE(error.message.find("'temperature'"), std::string::npos);
}

TEST(FieldsTest, RefusesWrongTypesAndRanges) {
  struct Case {
    Json value;
    const char* code;
  };
  for (const Case& bad :
       {Case{"3", "invalid_type"}, Case{2.5, "invalid_type"}, Case{true, "invalid_type"},
        Case{0, "invalid_value"}, Case{9, "invalid_value"}, Case{-1, "invalid_value"},
        Case{18'446'744'073'709'551'615U, "invalid_value"}, Case{1e300, "invalid_type"},
        Case{Json::array(), "invalid_type"}}) {
    const Json json = {{"count", bad.value}};
    Fields fields(json);
    int count = 5;
    EXPECT_FALSE(fields.get("count", count, Range<int>{1, 8})) << json;
    EXPECT_EQ(count, 5);
    EXPECT_EQ(error_of(fields).code, bad.code) << json;
  }
}

TEST(FieldsTest, TheFirstErrorCounts) {
  const Json json = {{"a", 1}, {"b", 2}};
  Fields fields(json);
  std::string text;
  (void)fields.get("b", text, 1);
  (void)fields.get("a", text, 1);
  (void)fields.require("c");
  EXPECT_EQ(error_of(fields).param, "b");
}

TEST(FieldsTest, MissingAndUnsupported) {
  const Json json = {{"tools", Json::array({1})}, {"echo", false}};
  {
    Fields fields(json);
    (void)fields.require("model");
    EXPECT_EQ(error_of(fields).code, "missing_required_parameter");
  }
  Fields fields(json);
  fields.unsupported_unless("echo", false);
  EXPECT_TRUE(fields.ok());
  fields.unsupported_unless("tools", Json::array());
  EXPECT_EQ(error_of(fields).code, "unsupported_parameter");
}

TEST(FieldsTest, OnlyObjectsHaveFields) {
  const Json json = Json::array({1});
  Fields fields(json, "messages[0]");
  EXPECT_EQ(fields.find("role"), nullptr);
  EXPECT_EQ(error_of(fields).param, "messages[0]");
}

}  // namespace
}  // namespace symbiont::api
