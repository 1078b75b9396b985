// Embeddings, beside llama.cpp's own.
#include <llama.h>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/running_worker.h"

namespace symbiont::worker {
namespace {

using ipc::fb::FailureKind;
using ipc::fb::Finish;

class EmbeddingTest : public WorkerTest {
 protected:
  /// As load(), for embeddings.
  void load(RunningWorker& worker, std::uint16_t sequences = 1, std::uint64_t memory = 0) const {
    ASSERT_FALSE(worker.load(model(), 256, 1, sequences, memory, true).failure);
    ASSERT_GT(worker.ready().embedding_size, 0U);
  }
  static ipc::ExecuteRequest embed(std::uint64_t id, const std::vector<std::string>& texts) {
    ipc::ExecuteRequest request;
    request.id = id;
    request.embed = true;
    for (const std::string& text : texts)
      request.messages.push_back({.role = "user", .content = text});
    return request;
  }
  static double cosine(const std::vector<float>& a, const std::vector<float>& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  }
  /// More than one decode for embeddings takes.
  static std::string long_text() {
    std::string text;
    for (int i = 0; i < 30; ++i)
      text += "The cat sat on the mat. ";
    return text;
  }
};

TEST_F(EmbeddingTest, OneForEachTextTheSameEveryTime) {
  RunningWorker worker;
  load(worker);
  const Answer first = worker.execute(embed(1, {"A cat.", long_text(), "A cat."}));
  ASSERT_TRUE(first.done) << (first.failure ? first.failure->message : "nothing");
  ASSERT_EQ(first.embeddings.size(), 3U);
  EXPECT_EQ(first.embeddings[0].size(), worker.ready().embedding_size);
  EXPECT_NEAR(cosine(first.embeddings[0], first.embeddings[0]), 1.0, 1e-5);
  EXPECT_EQ(first.embeddings[0], first.embeddings[2]);
  EXPECT_NE(first.embeddings[0], first.embeddings[1]);
  EXPECT_EQ(first.done->completion_tokens, 0U);
  EXPECT_GT(first.done->prompt_tokens, 64U);
  const Answer again = worker.execute(embed(2, {"A cat.", long_text(), "A cat."}));
  EXPECT_EQ(again.embeddings, first.embeddings);
  EXPECT_EQ(again.done->prompt_tokens, first.done->prompt_tokens);
}

/// llama.cpp's own mean of the whole text in one decode, without any of the worker's code.
std::vector<float> reference(const std::string& path, const std::string& text) {
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_model_params model_params = llama_model_default_params();
  llama_model* model = llama_model_load_from_file(path.c_str(), model_params);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 256;
  params.n_batch = 256;
  params.n_ubatch = 256;
  params.n_threads = 1;  // OpenMP's threads would not survive the next test's fork
  params.n_threads_batch = 1;
  params.embeddings = true;
  params.pooling_type = LLAMA_POOLING_TYPE_MEAN;
  llama_context* context = llama_init_from_model(model, params);
  std::vector<llama_token> tokens(256);
  const std::int32_t count =
      llama_tokenize(llama_model_get_vocab(model), text.data(),
                     static_cast<std::int32_t>(text.size()), tokens.data(), 256, true, false);
  EXPECT_EQ(llama_decode(context, llama_batch_get_one(tokens.data(), count)), 0);
  const float* values = llama_get_embeddings_seq(context, 0);
  std::vector<float> unit(values, values + llama_model_n_embd_out(model));
  const double length = std::sqrt(std::inner_product(unit.begin(), unit.end(), unit.begin(), 0.0));
  for (float& value : unit)
    value = static_cast<float>(value / length);
  llama_free(context);
  llama_model_free(model);
  return unit;
}

TEST_F(EmbeddingTest, AreLlamaCppsOwnMean) {
  const std::vector<std::string> texts = {"A cat.", long_text()};
  RunningWorker worker;
  load(worker);
  const Answer answer = worker.execute(embed(1, texts));
  ASSERT_EQ(answer.embeddings.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    const std::vector<float> expected = reference(path_, texts[i]);
    ASSERT_EQ(expected.size(), answer.embeddings[i].size());
    EXPECT_GT(cosine(answer.embeddings[i], expected), 0.999) << texts[i];
  }
  EXPECT_LT(cosine(answer.embeddings[0], answer.embeddings[1]), 0.99) << "not just anything";
}

TEST_F(EmbeddingTest, AreMadeWhileOthersAnswer) {
  RunningWorker worker;
  load(worker, 3, 1U << 20U);  // room for one context only: places are given up
  std::vector<std::string> texts(3, long_text());
  auto story = ask(1, "Count from one to one hundred, in words: one, two, three, four");
  story.max_tokens = 40;
  worker.send(story);
  worker.send(embed(2, texts));
  worker.send(embed(3, {"A cat."}));
  const auto answers = worker.collect_all({1, 2, 3});
  for (const auto& [id, answer] : answers)
    ASSERT_TRUE(answer.done) << id << ": " << (answer.failure ? answer.failure->message : "");
  ASSERT_EQ(answers.at(2).embeddings.size(), texts.size());
  EXPECT_EQ(answers.at(1).text.empty(), false);
  const Answer alone = worker.execute(embed(4, {long_text(), "A cat."}));
  for (const std::vector<float>& values : answers.at(2).embeddings)
    EXPECT_GT(cosine(values, alone.embeddings[0]), 0.999);
  EXPECT_GT(cosine(answers.at(3).embeddings[0], alone.embeddings[1]), 0.999);
  story.id = 5;
  EXPECT_EQ(worker.execute(story).text, answers.at(1).text);
}

TEST_F(EmbeddingTest, WhatTheContextDoesNotHoldIsRefusedOrShortened) {
  RunningWorker worker;
  load(worker);
  std::string text = long_text() + long_text();
  const Answer refused = worker.execute(embed(1, {text}));
  ASSERT_TRUE(refused.failure);
  EXPECT_EQ(refused.failure->kind, FailureKind::ContextOverflow);
  EXPECT_EQ(refused.failure->limit, 256U);
  auto shortened = embed(2, {text, text + text});
  shortened.truncate = true;
  const Answer answer = worker.execute(shortened);
  ASSERT_TRUE(answer.done);
  EXPECT_EQ(answer.done->prompt_tokens, 512U);
  EXPECT_EQ(answer.embeddings[0], answer.embeddings[1]);
}

TEST_F(EmbeddingTest, ACancelledOneEnds) {
  RunningWorker worker;
  load(worker);
  worker.send(embed(1, std::vector<std::string>(200, long_text())));
  const auto* frame = worker.next();
  ASSERT_TRUE(frame != nullptr && frame->body_as_Embedding() != nullptr);
  worker.cancel(1);
  std::size_t more = 0;
  while ((frame = worker.next()) != nullptr && frame->body_as_Done() == nullptr)
    ++more;
  ASSERT_NE(frame, nullptr);
  EXPECT_EQ(ipc::read_done(*frame->body_as_Done()).finish, Finish::Cancelled);
  EXPECT_LT(more, 100U);
}

TEST_F(EmbeddingTest, AWorkerThatWasNotToldMakesNone) {
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model()).failure);
  EXPECT_EQ(worker.ready().embedding_size, 0U);
  const Answer answer = worker.execute(embed(1, {"A cat."}));
  ASSERT_TRUE(answer.failure);
  EXPECT_EQ(answer.failure->kind, FailureKind::InvalidRequest);
}

}  // namespace
}  // namespace symbiont::worker
