#include "gguf/describe.h"

#include <span>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "gguf/escape.h"
#include "tests/support/gguf_builder.h"

namespace symbiont::gguf {
namespace {

using symbiont::testing::GgufFile;
using symbiont::testing::GgufType;
using ::testing::HasSubstr;
using ::testing::Not;

Header header_of(const GgufFile& file) {
  const std::string bytes = file.bytes();
  auto header = parse_header(std::as_bytes(std::span(bytes)));
  EXPECT_TRUE(header.has_value()) << header.error().message();
  return header.has_value() ? *std::move(header) : Header{};
}

TEST(GgufEscape, TextOfAHostileFile) {
  EXPECT_EQ(escape("plain \xc3\xbc \xe4\xb8\xad \xf0\x9f\x98\x80"),
            "plain \xc3\xbc \xe4\xb8\xad \xf0\x9f\x98\x80");
  EXPECT_EQ(escape("a\nb\r\t\\"), "a\\nb\\r\\t\\\\");
  EXPECT_EQ(escape("\x1b[2J\x07\x7f"), "\\x1b[2J\\x07\\x7f");
  EXPECT_EQ(escape(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(escape("\xc2\x9b"), "\\xc2\\x9b");           // C1: the one-character CSI
  EXPECT_EQ(escape("\xe2\x80\xae"), "\\xe2\\x80\\xae");  // right-to-left override
  EXPECT_EQ(escape("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(escape("\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80"),
            "\\xc0\\xaf\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(escape("abcdef", 3), "abc...");
  EXPECT_EQ(escape("abc", 3), "abc");
  EXPECT_EQ(escape("ab\xc3\xbc", 3), "ab...");  // never half a character
  EXPECT_TRUE(is_valid_utf8("\xc3\xbc"));
  EXPECT_FALSE(is_valid_utf8("\xc3"));
}

TEST(GgufDescribe, TextNamesWhatAReaderWantsToKnow) {
  const std::string text =
      describe_text(header_of(symbiont::testing::tiny_model_file(1)), "tiny.gguf");
  for (const std::string_view part :
       {"tiny.gguf", "architecture    llama", "name            tiny", "512 tokens",
        "f32 20 tensors", "32.00 bits a weight", "tokenizer.ggml.tokens", "string[600]",
        "[<unk>, <s>, </s>, <0x00>", "{{ m.content }}\\n{% e", "blk.1.ffn_down.weight",
        "128 x 64"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_TRUE(text.ends_with('\n'));
}

TEST(GgufDescribe, JsonHoldsTheSame) {
  const auto json =
      nlohmann::json::parse(describe_json(header_of(symbiont::testing::small_file()), "s.gguf"));
  EXPECT_EQ(json["file"], "s.gguf");
  EXPECT_EQ(json["architecture"], "llama");
  EXPECT_EQ(json["context_length"], 128);
  EXPECT_EQ(json["parameters"], 40);
  EXPECT_EQ(json["quantisation"].size(), 2U);
  EXPECT_EQ(json["metadata"].size(), 9U);
  EXPECT_EQ(json["metadata"][4],
            (nlohmann::json{{"key", "small.flag"}, {"type", "bool"}, {"value", true}}));
  EXPECT_EQ(json["metadata"][7]["first"], (nlohmann::json{"a", "b"}));
  EXPECT_EQ(json["tensors"][1]["type"], "q4_0");
  EXPECT_EQ(json["tensors"][0]["dimensions"], (nlohmann::json{4, 2}));
}

TEST(GgufDescribe, NothingOfAHostileFileDrivesTheTerminal) {
  GgufFile file = symbiont::testing::small_file();
  file.set_string("general.name", "\x1b[2J\x9b\n\xe2\x80\xae");
  file.set_string("general.architecture", "\x1b]0;owned\x07");
  file.append("key\x1b[31m", GgufType::Array,
              symbiont::testing::gguf_array(GgufType::String, 1,
                                            symbiont::testing::gguf_string("\x1b[1m\xff")));
  file.tensors.front().name = "t\x1b[5m\r";
  const Header header = header_of(file);
  for (const std::string& out :
       {describe_text(header, "f\x1b.gguf"), describe_json(header, "f\x1b.gguf")}) {
    EXPECT_THAT(out, Not(HasSubstr("\x1b")));
    EXPECT_THAT(out, Not(HasSubstr("\x9b")));
    EXPECT_THAT(out, Not(HasSubstr("\r")));
    EXPECT_THAT(out, Not(HasSubstr("\xe2\x80\xae")));
    EXPECT_TRUE(is_valid_utf8(out));
  }
  EXPECT_TRUE(nlohmann::json::accept(describe_json(header, "f")));
}

TEST(GgufDescribe, AFileWithoutTensorsOrMetadata) {
  const Header header = header_of(GgufFile{});
  EXPECT_THAT(describe_text(header, "none"), HasSubstr("no tensors"));
  EXPECT_EQ(nlohmann::json::parse(describe_json(header, "none"))["context_length"], nullptr);
}

TEST(GgufDescribe, NumbersThatJsonLacksAreText) {
  GgufFile file = symbiont::testing::small_file();
  file.set_f32("x", std::numeric_limits<float>::infinity());
  EXPECT_THAT(describe_json(header_of(file), "f"), HasSubstr("\"inf\""));
}

}  // namespace
}  // namespace symbiont::gguf
