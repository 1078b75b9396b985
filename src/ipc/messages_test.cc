#include "ipc/messages.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ipc/channel.h"

namespace symbiont::ipc {
namespace {

using ::testing::HasSubstr;

std::vector<std::byte> bytes_of(const Builder& builder) {
  std::vector<std::byte> bytes(builder.GetSize());
  std::memcpy(bytes.data(), builder.GetBufferPointer(), bytes.size());
  return bytes;
}

ExecuteRequest sample_execute() {
  ExecuteRequest execute;
  execute.id = 7;
  execute.messages = {{.role = "system", .content = "short"},
                      {.role = "user", .content = std::string("nul \0 inside", 12)}};
  execute.temperature = 0.5F;
  execute.stop = {"###"};
  execute.deadline_ms = 1000;
  return execute;
}

/// The error text of an Execute after a round trip; empty when it is accepted.
std::string execute_error(const ExecuteRequest& execute) {
  Builder builder;
  encode_execute(builder, execute);
  const auto bytes = bytes_of(builder);
  const auto frame = decode(bytes);
  if (!frame.has_value()) return frame.error().message();
  const auto read = read_execute(*frame.value()->body_as_Execute());
  return read.has_value() ? "" : read.error().message();
}

TEST(Messages, ExecuteKeepsEveryField) {
  Builder builder;
  const ExecuteRequest sent = sample_execute();
  encode_execute(builder, sent);
  const auto bytes = bytes_of(builder);
  const auto frame = decode(bytes);
  ASSERT_TRUE(frame.has_value()) << frame.error().message();
  const auto read = read_execute(*frame.value()->body_as_Execute());
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(read->id, 7U);
  ASSERT_EQ(read->messages.size(), 2U);
  EXPECT_EQ(read->messages[1].content, sent.messages[1].content);
  EXPECT_EQ(read->stop, sent.stop);
  EXPECT_EQ(read->temperature, 0.5F);
  EXPECT_EQ(read->deadline_ms, 1000U);
}

TEST(Messages, BoundsThemselvesAreAccepted) {
  ExecuteRequest execute = sample_execute();
  execute.repeat_penalty = 0.01F;  // a little less than 0.01
  EXPECT_EQ(execute_error(execute), "");
}

TEST(Messages, EachBadFieldIsNamed) {
  ExecuteRequest execute = sample_execute();
  execute.temperature = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(execute_error(execute), HasSubstr("temperature"));
  execute = sample_execute();
  execute.top_p = 1.5F;
  EXPECT_THAT(execute_error(execute), HasSubstr("top_p"));
  execute = sample_execute();
  execute.repeat_penalty = 0;
  EXPECT_THAT(execute_error(execute), HasSubstr("repeat_penalty"));
  execute = sample_execute();
  execute.max_tokens = 0;
  EXPECT_THAT(execute_error(execute), HasSubstr("max_tokens"));
  execute = sample_execute();
  execute.messages.clear();
  EXPECT_THAT(execute_error(execute), HasSubstr("messages"));
  execute = sample_execute();
  execute.stop = {""};
  EXPECT_THAT(execute_error(execute), HasSubstr("stop"));
  execute = sample_execute();
  execute.embed = true;
  execute.messages.assign(kMaxEmbeddingInputs + 1, {"user", "x"});
  EXPECT_THAT(execute_error(execute), HasSubstr("embeddings"));
  execute = sample_execute();
  execute.raw = true;
  EXPECT_THAT(execute_error(execute), HasSubstr("raw"));
  execute = sample_execute();
  execute.id = 0;
  EXPECT_THAT(execute_error(execute), HasSubstr("id"));
}

TEST(Messages, EveryReportKeepsItsFields) {
  Builder builder;
  encode_done(builder, {.id = 3, .finish = fb::Finish::Stop, .prompt_tokens = 4, .stop = 2});
  auto bytes = bytes_of(builder);
  auto frame = decode(bytes);
  ASSERT_TRUE(frame.has_value());
  const DoneReport done = read_done(*frame.value()->body_as_Done());
  EXPECT_EQ(done.finish, fb::Finish::Stop);
  EXPECT_EQ(done.stop, 2);
  EXPECT_EQ(done.prompt_tokens, 4U);

  ReadyReport ready;
  ready.embedding_size = 9;
  encode_ready(builder, ready);
  bytes = bytes_of(builder);
  frame = decode(bytes);
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(read_ready(*frame.value()->body_as_Ready()).embedding_size, 9U);

  const std::vector<float> values = {0.5F, -1.0F};
  encode_embedding(builder, 3, 1, values);
  bytes = bytes_of(builder);
  frame = decode(bytes);
  ASSERT_TRUE(frame.has_value());
  const auto* embedding = frame.value()->body_as_Embedding();
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->index(), 1U);
  EXPECT_EQ(std::vector<float>(embedding->values()->begin(), embedding->values()->end()), values);

  encode_failed(builder, {.kind = fb::FailureKind::OutOfMemory, .message = "no room", .needed = 9});
  bytes = bytes_of(builder);
  frame = decode(bytes);
  ASSERT_TRUE(frame.has_value());
  const FailureReport failure = read_failed(*frame.value()->body_as_Failed());
  EXPECT_EQ(failure.kind, fb::FailureKind::OutOfMemory);
  EXPECT_EQ(failure.message, "no room");
  EXPECT_EQ(failure.needed, 9U);
}

TEST(Decode, RefusesAWrongIdentifier) {
  Builder builder;
  encode_cancel(builder, 5);
  auto bytes = bytes_of(builder);
  bytes[4] = std::byte{'X'};
  const auto frame = decode(bytes);
  ASSERT_FALSE(frame.has_value());
  EXPECT_EQ(frame.error().code(), ErrorCode::DataCorrupt);
}

TEST(Decode, RefusesAnUnknownEnumValue) {
  Builder builder;
  encode_done(builder, {.id = 3, .finish = static_cast<fb::Finish>(200)});
  EXPECT_FALSE(decode(bytes_of(builder)).has_value());
}

TEST(Decode, RefusesEveryTruncation) {
  Builder builder;
  encode_execute(builder, sample_execute());
  const auto whole = bytes_of(builder);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    // A copy of its own, so that a sanitizer sees a read past the end.
    const std::vector<std::byte> part(whole.begin(),
                                      whole.begin() + static_cast<std::ptrdiff_t>(size));
    const auto frame = decode(part);
    if (!frame.has_value()) continue;
    const auto* execute = frame.value()->body_as_Execute();  // cut in trailing padding only
    ASSERT_NE(execute, nullptr);
    EXPECT_TRUE(read_execute(*execute).has_value());
  }
}

TEST(Decode, SurvivesMutatedBytes) {
  Builder builder;
  encode_execute(builder, sample_execute());
  const auto whole = bytes_of(builder);
  std::minstd_rand random(42);  // NOLINT: the same mutations on every run
  std::size_t accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = whole;
    for (int flips = 0; flips < 3; ++flips) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random() & 0xFFU);
    }
    const auto frame = decode(bytes);
    if (!frame.has_value()) continue;
    ++accepted;
    if (const auto* execute = frame.value()->body_as_Execute()) {
      const auto ignored = read_execute(*execute);
      (void)ignored.has_value();
    }
  }
  EXPECT_GT(accepted, 0U);
}

}  // namespace
}  // namespace symbiont::ipc
