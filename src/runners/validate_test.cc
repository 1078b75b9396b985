#include "runners/validate.h"

#include <limits>

#include <gtest/gtest.h>

#include "runners/utf8.h"

namespace symbiont {
namespace {

std::string field_of(const Check& check) {
  if (check.has_value()) return "accepted";
  const auto* input = check.error().get_if<runner_error::InvalidInput>();
  return input == nullptr ? std::string(check.error().kind()) : input->field;
}

TEST(Utf8, FindsTheFirstBadByte) {
  EXPECT_EQ(first_invalid_utf8("plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"), 17U);
  EXPECT_EQ(first_invalid_utf8("a\xC0\x80"), 1U);         // overlong
  EXPECT_EQ(first_invalid_utf8("\xED\xA0\x80"), 0U);      // surrogate
  EXPECT_EQ(first_invalid_utf8("ab\xE2\x82"), 2U);        // cut
  EXPECT_EQ(first_invalid_utf8("\xF4\x90\x80\x80"), 0U);  // above U+10FFFF
}

TEST(ValidateText, BoundsAndEncoding) {
  EXPECT_EQ(field_of(validate_text("prompt", "")), "prompt");
  EXPECT_EQ(field_of(validate_text("prompt", std::string(kMaxPromptBytes, 'a'))), "accepted");
  EXPECT_EQ(field_of(validate_text("prompt", std::string(kMaxPromptBytes + 1, 'a'))), "prompt");
  EXPECT_EQ(field_of(validate_text("prompt", "a\xFF")), "prompt");
  EXPECT_EQ(field_of(validate_text("prompt", std::string_view("a\0b", 3))), "prompt");
}

TEST(ValidateMessages, RolesAndCounts) {
  EXPECT_EQ(field_of(validate_messages({})), "messages");
  const std::vector<ChatMessage> good = {{"system", "s"}, {"user", "u"}};
  EXPECT_EQ(field_of(validate_messages(good)), "accepted");
  const std::vector<ChatMessage> bad_role = {{"user", "u"}, {"root", "u"}};
  EXPECT_EQ(field_of(validate_messages(bad_role)), "messages[1].role");
  const std::vector<ChatMessage> bad_text = {{"user", "\xFF"}};
  EXPECT_EQ(field_of(validate_messages(bad_text)), "messages[0].content");
  const std::vector<ChatMessage> many(kMaxMessages + 1, {"user", "u"});
  EXPECT_EQ(field_of(validate_messages(many)), "messages");
  const std::vector<ChatMessage> empty = {{"user", ""}};
  EXPECT_EQ(field_of(validate_messages(empty)), "messages");
}

std::string options_field(void (*change)(ExecutionOptions&)) {
  ExecutionOptions options;
  change(options);
  return field_of(validate_options(options, {}));
}

TEST(ValidateOptions, NamesTheField) {
  EXPECT_EQ(options_field([](auto&) {}), "accepted");
  EXPECT_EQ(options_field([](auto& o) { o.timeout = std::chrono::milliseconds(0); }), "timeout");
  EXPECT_EQ(options_field([](auto& o) { o.timeout = std::chrono::milliseconds(-5); }), "timeout");
  EXPECT_EQ(options_field([](auto& o) { o.temperature = 2.1F; }), "temperature");
  EXPECT_EQ(options_field([](auto& o) { o.temperature = std::numeric_limits<float>::quiet_NaN(); }),
            "temperature");
  EXPECT_EQ(options_field([](auto& o) { o.max_tokens = 0; }), "max_tokens");
  EXPECT_EQ(options_field([](auto& o) { o.max_tokens = kMaxNewTokens + 1; }), "max_tokens");
  EXPECT_EQ(options_field([](auto& o) { o.top_p = -0.1F; }), "top_p");
  EXPECT_EQ(options_field([](auto& o) { o.repeat_penalty = 0.0F; }), "repeat_penalty");
  EXPECT_EQ(options_field([](auto& o) { o.stop.assign(17, "x"); }), "stop");
  EXPECT_EQ(options_field([](auto& o) { o.stop = {std::string(257, 'x')}; }), "stop");
  EXPECT_EQ(options_field([](auto& o) { o.stop = {""}; }), "stop");
  EXPECT_EQ(options_field([](auto& o) { o.custom_parameters["mirostat"] = "2"; }),
            "custom_parameters['mirostat']");
}

TEST(ValidateProfile, LimitsAndNeed) {
  SandboxProfile profile;
  EXPECT_EQ(field_of(validate_profile(profile, {})), "accepted");
  ModelResourceRequirements needs;
  needs.min_memory_mb = 8192;
  const Check too_big = validate_profile(profile, needs);
  ASSERT_FALSE(too_big.has_value());
  const auto* limit = too_big.error().get_if<runner_error::ResourceLimitExceeded>();
  ASSERT_NE(limit, nullptr);
  EXPECT_EQ(limit->limit, std::uint64_t{512} << 20U);
  EXPECT_EQ(limit->peak, std::uint64_t{8192} << 20U);
  profile.resources.max_cpu_cores = -1;
  EXPECT_EQ(field_of(validate_profile(profile, {})), "profile.resources.max_cpu_cores");
  profile = {};
  profile.resources.max_memory_mb = 0;
  EXPECT_EQ(field_of(validate_profile(profile, {})), "profile.resources.max_memory_mb");
  profile = {};
  profile.process_limits.max_execution_time_seconds = 0;
  EXPECT_EQ(field_of(validate_profile(profile, {})),
            "profile.process_limits.max_execution_time_seconds");
}

}  // namespace
}  // namespace symbiont
