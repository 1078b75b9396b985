#include "gguf/header.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/unique_fd.h"
#include "tests/support/gguf_builder.h"

namespace symbiont::gguf {
namespace {

using symbiont::testing::Expected;
using symbiont::testing::GgufFile;
using symbiont::testing::GgufType;
using symbiont::testing::HostileVariant;
using ::testing::HasSubstr;

Result<Header> parse(const std::string& bytes) {
  return parse_header(std::as_bytes(std::span(bytes)));
}

UniqueFd file_with(const std::string& bytes) {
  UniqueFd fd(::memfd_create("gguf_test", MFD_CLOEXEC));
  EXPECT_TRUE(write_all(fd.get(), bytes, "memfd").has_value());
  return fd;
}

class HostileFile : public ::testing::TestWithParam<HostileVariant> {};

TEST_P(HostileFile, IsRejectedByNameOrParsed) {
  const HostileVariant& variant = GetParam();
  const auto header = parse(variant.bytes);
  const auto from_file = read_header(file_with(variant.bytes).get());
  ASSERT_EQ(header.has_value(), from_file.has_value());
  if (variant.expected != Expected::PreflightRejects) {
    ASSERT_TRUE(header.has_value()) << header.error().message();
    return;
  }
  ASSERT_FALSE(header.has_value());
  EXPECT_EQ(header.error().code(), ErrorCode::DataCorrupt);
  EXPECT_THAT(header.error().message(), HasSubstr(variant.field));
  EXPECT_EQ(from_file.error().message(), header.error().message());
  EXPECT_LT(header.error().message().size(), 600U);
  for (const char c : header.error().message()) {
    EXPECT_GE(c, ' ') << "control character in: " << header.error().message();
  }
  if (variant.bytes.size() >= 8) {
    EXPECT_THAT(header.error().message(), HasSubstr("at offset "));
  }
}

INSTANTIATE_TEST_SUITE_P(Preflight,
                         HostileFile,
                         ::testing::ValuesIn(symbiont::testing::hostile_variants()),
                         [](const auto& variant) {
                           std::string name = variant.param.name;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(GgufHeader, ReadsEveryField) {
  const std::string bytes = symbiont::testing::small_file().bytes();
  const auto header = parse(bytes);
  ASSERT_TRUE(header.has_value()) << header.error().message();
  EXPECT_EQ(header->version, 3U);
  EXPECT_EQ(header->alignment, kDefaultAlignmentBytes);
  EXPECT_EQ(header->file_bytes, bytes.size());
  EXPECT_EQ(header->parameters, 40U);
  EXPECT_EQ(header->data_offset % 32, 0U);
  EXPECT_EQ(header->string_or_empty("general.architecture"), "llama");
  EXPECT_EQ(header->string_or_empty("small.flag"), "");
  EXPECT_EQ(header->string_or_empty("absent"), "");
  EXPECT_EQ(header->find("absent"), nullptr);

  const auto scalar = [&](std::string_view key) {
    return std::get<Scalar>(header->find(key)->value);
  };
  EXPECT_EQ(std::get<std::uint64_t>(scalar("llama.context_length")), 128U);
  EXPECT_EQ(std::get<std::int64_t>(scalar("small.signed")), -2);
  EXPECT_EQ(std::get<double>(scalar("small.wide")), 0.5);
  EXPECT_TRUE(std::get<bool>(scalar("small.flag")));
  const auto& words = std::get<ArraySummary>(header->find("small.words")->value);
  EXPECT_EQ(words.element_type, ValueType::String);
  ASSERT_EQ(words.first.size(), 2U);
  EXPECT_EQ(std::get<Text>(words.first[1]).kept, "b");

  ASSERT_EQ(header->tensors.size(), 2U);
  EXPECT_EQ(header->tensors[0].dimensions, (std::vector<std::uint64_t>{4, 2}));
  EXPECT_EQ(header->tensors[1].type->name, "q4_0");
  EXPECT_EQ(header->tensors[1].offset, 32U);
  EXPECT_EQ(header->tensors[1].bytes, 18U);
}

TEST(GgufHeader, ReadsTheTinyModelOfVersions2And3) {
  for (const std::uint32_t version : {2U, 3U}) {
    GgufFile file = symbiont::testing::tiny_model_file(7);
    file.version = version;
    const auto header = read_header(file_with(file.bytes()).get());
    ASSERT_TRUE(header.has_value()) << header.error().message();
    EXPECT_EQ(header->version, version);
    EXPECT_EQ(header->tensors.size(), 20U);
    EXPECT_EQ(std::get<ArraySummary>(header->find("tokenizer.ggml.tokens")->value).count, 600U);
  }
}

TEST(GgufHeader, FollowsAnotherAlignment) {
  GgufFile file = symbiont::testing::small_file();
  file.alignment = 4096;
  file.set_u32("general.alignment", 4096);
  const auto header = parse(file.bytes());
  ASSERT_TRUE(header.has_value()) << header.error().message();
  EXPECT_EQ(header->data_offset, 4096U);
  EXPECT_EQ(header->tensors[1].offset, 4096U);
}

TEST(GgufHeader, KeepsTheStartOfLongStringsAndArrays) {
  GgufFile file = symbiont::testing::small_file();
  file.set_string("tokenizer.chat_template", std::string(kMaxKeptStringBytes + 1, 'x'));
  file.set("long", GgufType::Array,
           symbiont::testing::gguf_array(GgufType::Uint8, 100'000, std::string(100'000, '\x07')));
  const auto header = parse(file.bytes());
  ASSERT_TRUE(header.has_value()) << header.error().message();
  const auto& text =
      std::get<Text>(std::get<Scalar>(header->find("tokenizer.chat_template")->value));
  EXPECT_EQ(text.kept.size(), kMaxKeptStringBytes);
  EXPECT_EQ(text.total_bytes, kMaxKeptStringBytes + 1);
  const auto& array = std::get<ArraySummary>(header->find("long")->value);
  EXPECT_EQ(array.count, 100'000U);
  EXPECT_EQ(array.first.size(), kMaxArrayPreview);
}

TEST(GgufHeader, AcceptsNestedArraysUpToTheBound) {
  std::string nested = symbiont::testing::gguf_array(GgufType::Uint8, 1, "\x01");
  for (unsigned depth = 1; depth < kMaxArrayDepth; ++depth) {
    nested = symbiont::testing::gguf_array(GgufType::Array, 1, nested);
  }
  GgufFile file = symbiont::testing::small_file();
  file.set("x", GgufType::Array, nested);
  EXPECT_TRUE(parse(file.bytes()).has_value());
  file.set("x", GgufType::Array, symbiont::testing::gguf_array(GgufType::Array, 1, nested));
  EXPECT_FALSE(parse(file.bytes()).has_value());
}

TEST(GgufHeader, AFileCutAnywhereIsAnErrorThatCountsTheMissingBytes) {
  const GgufFile file = symbiont::testing::small_file();
  const std::string whole = file.bytes();
  // The last tensor's 18 bytes are followed by padding that nothing refers to.
  const std::size_t data_end = whole.size() - 14;
  for (std::size_t length = 0; length < data_end; ++length) {
    const auto header = parse(whole.substr(0, length));
    ASSERT_FALSE(header.has_value()) << "cut at " << length;
    EXPECT_EQ(header.error().code(), ErrorCode::DataCorrupt) << length;
    if (length >= file.header_size()) {
      EXPECT_THAT(header.error().message(), HasSubstr("bytes are missing")) << length;
    }
  }
  EXPECT_TRUE(parse(whole.substr(0, data_end)).has_value());
}

TEST(GgufHeader, EveryByteFlippedParsesOrFailsWithinTheBounds) {
  const std::string whole = symbiont::testing::small_file().bytes();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const char flip : {'\x01', '\x80', '\xff'}) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      const auto header = parse(changed);
      if (header.has_value()) continue;
      EXPECT_EQ(header.error().code(), ErrorCode::DataCorrupt);
    }
  }
}

TEST(GgufHeader, APrefixIsEnoughWhenTheFileIsLongEnough) {
  const GgufFile file = symbiont::testing::small_file();
  const std::string whole = file.bytes();
  const std::string prefix = whole.substr(0, file.header_size());
  EXPECT_TRUE(parse_header(std::as_bytes(std::span(prefix)), whole.size()).has_value());
  EXPECT_FALSE(parse_header(std::as_bytes(std::span(prefix)), whole.size() - 20).has_value());
}

TEST(GgufHeader, RefusesWhatIsNoRegularFile) {
  const UniqueFd directory(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto header = read_header(directory.get());
  ASSERT_FALSE(header.has_value());
  EXPECT_EQ(header.error().code(), ErrorCode::InvalidArgument);
}

TEST(GgufHeader, LeavesTheFilePositionAlone) {
  const UniqueFd fd = file_with(symbiont::testing::small_file().bytes());
  ASSERT_EQ(::lseek(fd.get(), 5, SEEK_SET), 5);
  EXPECT_TRUE(read_header(fd.get()).has_value());
  EXPECT_EQ(::lseek(fd.get(), 0, SEEK_CUR), 5);
}

}  // namespace
}  // namespace symbiont::gguf
