// Several requests at once: steps, places in the context, cells.
#include <algorithm>
#include <chrono>
#include <span>
#include <string>

#include <ggml-backend.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/running_worker.h"

namespace symbiont::worker {
namespace {

using ipc::fb::Finish;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(WorkerTest, ExecutionsAnswerTogetherAndAShortOneDoesNotWaitForALongOne) {
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model(), 2048, 1, 4).failure);
  ASSERT_EQ(worker.ready().max_sequences, 4);
  auto slow = ask(1, "Tell me a long story about the sea.");
  slow.max_tokens = 200;
  worker.send(slow);
  auto quick = ask_for_paris(2);
  quick.max_tokens = 12;
  worker.send(quick);
  std::string order;
  std::map<std::uint64_t, Answer> answers;
  for (int ends = 0; ends < 2; ++ends) {
    while (const auto* frame = worker.next()) {
      if (const auto* token = frame->body_as_Token())
        answers[token->id()].text += ipc::read_token_text(*token);
      if (const auto* done = frame->body_as_Done()) {
        order += std::to_string(done->id());
        answers[done->id()].done = ipc::read_done(*done);
        break;
      }
    }
  }
  EXPECT_EQ(order, "21");
  EXPECT_THAT(answers[2].text, HasSubstr("Paris"));
  EXPECT_THAT(answers[1].text, Not(HasSubstr("Paris")));
  EXPECT_EQ(answers[1].done->completion_tokens, 200);
}

TEST_F(WorkerTest, APromptIsRememberedForItsOwnKeyOnly) {
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model(), 1024, 1, 3).failure);
  std::map<std::uint64_t, std::uint32_t> cached;
  std::uint64_t id = 0;
  for (const std::uint64_t key : {7U, 7U, 8U, 8U}) {
    auto request = ask_for_paris(++id);
    request.cache_key = key;
    request.max_tokens = 2;
    const Answer answer = worker.execute(request);
    ASSERT_TRUE(answer.done);
    cached[id] = answer.done->cached_tokens;
  }
  EXPECT_EQ(cached[1], 0);
  EXPECT_GT(cached[2], 10);
  EXPECT_EQ(cached[3], 0) << "another agent's prompt";
  EXPECT_EQ(cached[4], cached[2]);
}

TEST_F(WorkerTest, PromptsThatBeginAlikeAreReadTogetherForTheirOwnKeyOnly) {
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model(), 2048, 1, 5).failure);
  std::string text;
  for (int i = 0; i < 70; ++i)  // more than one step reads
    text += "The cat sat on mat " + std::to_string(i) + ". ";
  std::set<std::uint64_t> ids;
  for (std::uint64_t id = 1; id <= 5; ++id) {
    auto request = ask(id, id == 3 ? text + "And then?" : text);
    request.cache_key = id == 4 ? 8 : 7;
    request.max_tokens = 4;
    worker.send(request);
    ids.insert(id);
  }
  const auto answers = worker.collect_all(ids);
  for (const auto& [id, answer] : answers)
    ASSERT_TRUE(answer.done) << id << ": " << (answer.failure ? answer.failure->message : "");
  const std::uint32_t whole = answers.at(1).done->prompt_tokens;
  EXPECT_GT(whole, 512U);
  EXPECT_EQ(answers.at(1).done->cached_tokens, 0U);
  EXPECT_EQ(answers.at(2).done->cached_tokens, whole - 1);
  EXPECT_GT(answers.at(3).done->cached_tokens, whole - 10);
  EXPECT_LT(answers.at(3).done->cached_tokens, whole);
  EXPECT_EQ(answers.at(4).done->cached_tokens, 0U) << "another agent's prompt";
  EXPECT_EQ(answers.at(5).done->cached_tokens, whole - 1);
  EXPECT_EQ(answers.at(2).text, answers.at(1).text);
}

TEST_F(WorkerTest, WhoReadsForOthersMayBeCancelled) {
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model(), 2048, 1, 3).failure);
  std::string text;
  for (int i = 0; i < 70; ++i)
    text += "The cat sat on mat " + std::to_string(i) + ". ";
  for (std::uint64_t id = 1; id <= 3; ++id) {
    auto request = ask(id, text);
    request.max_tokens = 4;
    worker.send(request);
  }
  worker.cancel(1);
  const auto answers = worker.collect_all({1, 2, 3});
  for (const std::uint64_t id : {2U, 3U}) {
    ASSERT_TRUE(answers.at(id).done);
    EXPECT_EQ(answers.at(id).done->completion_tokens, 4U);
  }
}

TEST_F(WorkerTest, WhatDoesNotFitTogetherIsAnsweredInTurn) {
  // One mebibyte: room for one context only, whatever was asked for.
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model(), 256, 1, 4, 1U << 20U).failure);
  std::set<std::uint64_t> ids;
  for (std::uint64_t id = 1; id <= 4; ++id) {
    auto request = ask(id, "Count from one to one hundred, in words: one, two, three, four");
    request.max_tokens = 150;
    request.cache_key = id;
    worker.send(request);
    ids.insert(id);
  }
  for (const auto& [id, answer] : worker.collect_all(ids)) {
    ASSERT_TRUE(answer.done) << id << ": " << (answer.failure ? answer.failure->message : "");
    const bool whole = answer.done->finish == Finish::Stop || answer.done->completion_tokens == 150;
    EXPECT_TRUE(whole) << id << ": " << answer.done->completion_tokens;
  }
}

TEST_F(WorkerTest, CellsTakeNoMemoryUntilTheyAreUsed) {
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model(), 4096, 1, 16).failure);  // 1.5 GB of cells
  EXPECT_THAT(worker.execute(ask_for_paris(1)).text, HasSubstr("Paris"));
  EXPECT_GT(worker.resident_bytes(), 0U);
  EXPECT_LT(worker.resident_bytes(), 700U << 20U);
}

TEST(Cells, AreClearedToWhatIsAskedFor) {
  for (const std::size_t bytes : {std::size_t{100}, std::size_t{5000}, std::size_t{1'000'001}}) {
    ggml_backend_buffer_t buffer =
        ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), bytes);
    ASSERT_NE(buffer, nullptr);
    const std::span<char> all(static_cast<char*>(ggml_backend_buffer_get_base(buffer)), bytes);
    for (const char value : {char{7}, char{0}}) {
      std::ranges::fill(all, char{1});
      ggml_backend_buffer_clear(buffer, static_cast<std::uint8_t>(value));
      EXPECT_EQ(std::ranges::count(all, value), static_cast<std::ptrdiff_t>(bytes));
    }
    ggml_backend_buffer_free(buffer);
  }
}

}  // namespace
}  // namespace symbiont::worker
