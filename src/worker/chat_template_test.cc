#include "worker/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace symbiont::worker {
namespace {

using ipc::fb::FailureKind;
using namespace std::string_literals;  // NOLINT(google-build-using-namespace)
using ::testing::HasSubstr;

// As in the metadata of SmolLM2-135M-Instruct.
constexpr const char* kSmolLm2 =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ "
    "'<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
    "Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' "
    "}}{% endif %}";

std::vector<ipc::ChatMessage> user(std::string content) {
  return {{.role = "user", .content = std::move(content)}};
}

TemplateSource source(std::string text) {
  return {.text = std::move(text), .bos_token = "<s>", .eos_token = "</s>"};
}

/// The outcome of a template with one user message "hi".
std::string rendered(const char* text) {
  const auto outcome = render_chat(source(text), user("hi"));
  return outcome.has_value() ? *outcome : "error: " + outcome.error().message;
}

TEST(ChatTemplate, SmolLm2) {
  EXPECT_EQ(rendered(kSmolLm2),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, WhatTransformersOffers) {
  EXPECT_EQ(rendered("{{ bos_token }}{{ '  x '.strip() }}"), "<s>x");
  EXPECT_EQ(
      rendered("{% if tools is none %}\n  {% if true %}\nno tools\n  {% endif %}\n{% endif %}"),
      "no tools\n");
  EXPECT_EQ(rendered("{{ {'a': ['<b>', 1]} | tojson }}"), R"({"a": ["<b>", 1]})");
  EXPECT_THAT(rendered("{{ strftime_now('%Y') }}"), HasSubstr("20"));
  EXPECT_EQ(rendered("{% for m in messages %}{% if loop.index0 == 0 %}{{ m.content }}"
                     "{% break %}{% endif %}{% endfor %}"),
            "hi");
  EXPECT_EQ(rendered("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
                     "{% endfor %}{{ ns.n }}"),
            "1");
}

TEST(ChatTemplate, ContentsOfAllKindsArriveUnchanged) {
  const std::string content = "quote \" back \\ nul \0 tab \t euro \xE2\x82\xAC"s;
  const auto outcome = render_chat(source("{{ messages[0].content }}"), user(content));
  ASSERT_TRUE(outcome.has_value()) << outcome.error().message;
  EXPECT_EQ(*outcome, content);
}

TEST(ChatTemplate, InvalidUtf8IsTheRequestsFault) {
  const auto outcome = render_chat(source("x"), user("\xFF"));
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().kind, FailureKind::InvalidRequest);
}

TEST(ChatTemplate, EndlessLoopRunsOutOfSteps) {
  const auto outcome = render_chat(
      source("{% macro f() %}{% for a in range(99999) %}{% for b in range(99999) %}{{ '' }}"
             "{% endfor %}{% endfor %}{% endmacro %}{{ f() }}"),
      user("hi"));
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().kind, FailureKind::TemplateFailed);
  EXPECT_THAT(outcome.error().message, HasSubstr("too many steps"));
}

TEST(ChatTemplate, EndlessRecursionIsAnError) {
  EXPECT_THAT(rendered("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), HasSubstr("error: "));
}

TEST(ChatTemplate, HugeOutputIsAnError) {
  const auto outcome =
      render_chat(source("{% for a in range(99999) %}{{ messages[0].content }}{% endfor %}"),
                  user(std::string(100'000, 'x')));
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().kind, FailureKind::TemplateFailed);
}

TEST(ChatTemplate, HugeStringIsAnError) {
  EXPECT_THAT(rendered("{{ 'x' * 4000000000 }}"), HasSubstr("error: "));
}

TEST(ChatTemplate, RefusalSaysWhatTheTemplateSays) {
  EXPECT_THAT(rendered("{{ raise_exception('only system messages') }}"),
              HasSubstr("only system messages"));
}

TEST(ChatTemplate, LongErrorTextIsCut) {
  const std::string text = "{{ raise_exception('" + std::string(5000, 'x') + "') }}";
  EXPECT_LT(rendered(text.c_str()).size(), 700U);
}

TEST(ChatTemplate, SyntaxErrorIsAnError) {
  EXPECT_THAT(rendered("{% for %}"), HasSubstr("error: the model's chat template"));
}

TEST(ChatTemplate, PiecesKeepContentsApart) {
  const auto pieces = render_chat_in_pieces(source(kSmolLm2), user("<|im_end|>"));
  ASSERT_TRUE(pieces.has_value()) << pieces.error().message;
  ASSERT_EQ(pieces->size(), 3U);
  EXPECT_TRUE((*pieces)[0].from_template);
  EXPECT_EQ((*pieces)[1].text, "<|im_end|>");
  EXPECT_FALSE((*pieces)[1].from_template);
  EXPECT_TRUE((*pieces)[2].from_template);
}

TEST(ChatTemplate, AMangledPlaceholderIsAnError) {
  const auto pieces =
      render_chat_in_pieces(source("{{ messages[0].content[:2] }}"), user("<|im_end|>"));
  ASSERT_FALSE(pieces.has_value());
  EXPECT_EQ(pieces.error().kind, FailureKind::TemplateFailed);
}

TEST(ChatTemplate, WithoutATemplate) {
  EXPECT_EQ(*render_chat(source(""), user("Once")), "Once");
  const auto pieces = render_chat(
      source(""), {{.role = "system", .content = "s"}, {.role = "user", .content = "u"}});
  EXPECT_EQ(*pieces, "system: s\nuser: u\nassistant:");
}

}  // namespace
}  // namespace symbiont::worker
