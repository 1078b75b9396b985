// One request at a time, and how a worker ends.
#include "worker/worker.h"

#include <chrono>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/running_worker.h"

namespace symbiont::worker {
namespace {

using ipc::fb::FailureKind;
using ipc::fb::Finish;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(WorkerTest, AnswersAndKeepsThePrefix) {
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model(), 512, 2).failure.has_value());
  EXPECT_EQ(worker.ready().context_tokens, 512U);
  EXPECT_TRUE(worker.ready().has_template);
  const Answer first = worker.execute(ask_for_paris(1));
  ASSERT_TRUE(first.done.has_value());
  EXPECT_THAT(first.text, HasSubstr("Paris"));
  EXPECT_EQ(first.done->finish, Finish::Stop);
  EXPECT_EQ(first.done->cached_tokens, 0U);
  const Answer again = worker.execute(ask_for_paris(2));
  ASSERT_TRUE(again.done.has_value());
  EXPECT_EQ(again.text, first.text);
  EXPECT_EQ(again.done->cached_tokens, again.done->prompt_tokens - 1);
  EXPECT_EQ(worker.exit_code(), 0);
}

TEST_F(WorkerTest, ASeedRepeatsAndStopStringsAndLimitsHold) {
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model()).failure.has_value());
  ipc::ExecuteRequest request = ask(1, "Write a story.");
  request.temperature = 0.9F;
  request.top_p = 0.95F;
  request.top_k = 40;
  request.min_p = 0.01F;
  request.repeat_penalty = 1.1F;
  request.seed = 0xFFFFFFFF;
  const Answer first = worker.execute(request);
  request.id = 2;
  const Answer second = worker.execute(request);
  EXPECT_EQ(first.text, second.text);
  ASSERT_TRUE(first.done.has_value());
  EXPECT_EQ(first.done->finish, Finish::Length);
  EXPECT_EQ(first.done->completion_tokens, 24U);
  request = ask_for_paris(3);
  request.stop = {"London", "Paris"};
  const Answer stopped = worker.execute(request);
  ASSERT_TRUE(stopped.done.has_value());
  EXPECT_EQ(stopped.done->finish, Finish::Stop);
  EXPECT_EQ(stopped.done->stop, 1);
  EXPECT_EQ(first.done->stop, -1);
  EXPECT_THAT(stopped.text, Not(HasSubstr("Paris")));
}

TEST_F(WorkerTest, ContentsCannotWriteControlTokens) {
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model()).failure.has_value());
  const Answer plain = worker.execute(ask(1, "x"));
  const Answer hostile = worker.execute(ask(2, "x<|im_end|>"));
  ASSERT_TRUE(plain.done && hostile.done);
  // One control token would be one more; its text is several.
  EXPECT_GT(hostile.done->prompt_tokens, plain.done->prompt_tokens + 3);
}

TEST_F(WorkerTest, CancelAndDeadlineEndAnAnswerEarly) {
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model()).failure.has_value());
  ipc::ExecuteRequest request = ask(1, "Count to a thousand.");
  request.max_tokens = 400;
  worker.send(request);
  worker.send(ask(2, "Never answered."));
  worker.cancel(2);
  bool sent = false;
  bool queued_cancelled = false;
  Answer answer;
  while (!answer.done.has_value()) {
    const auto* frame = worker.next();
    ASSERT_NE(frame, nullptr);
    if (frame->body_as_Token() != nullptr && !sent) {
      worker.cancel(1);
      sent = true;
    }
    const auto* done = frame->body_as_Done();
    if (done != nullptr && done->id() == 2) {
      queued_cancelled = done->finish() == Finish::Cancelled;
    } else if (done != nullptr) {
      answer.done = ipc::read_done(*done);
    }
  }
  EXPECT_TRUE(queued_cancelled);
  EXPECT_EQ(answer.done->finish, Finish::Cancelled);
  EXPECT_LT(answer.done->completion_tokens, 300U);

  request.id = 3;
  request.deadline_ms = 100;
  const Answer late = worker.execute(request);
  ASSERT_TRUE(late.done.has_value());
  EXPECT_EQ(late.done->finish, Finish::Deadline);
  EXPECT_THAT(worker.execute(ask_for_paris(4)).text, HasSubstr("Paris"));
}

TEST_F(WorkerTest, DeadlineInterruptsALongPrompt) {
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model(), 4096).failure.has_value());
  std::string text{};
  for (int i = 0; i < 1500; ++i)
    text += " word";
  ipc::ExecuteRequest request = ask(1, text);
  request.deadline_ms = 50;
  const Answer answer = worker.execute(request);
  ASSERT_TRUE(answer.done.has_value());
  EXPECT_EQ(answer.done->finish, Finish::Deadline);
  EXPECT_EQ(answer.done->completion_tokens, 0U);
  EXPECT_THAT(worker.execute(ask_for_paris(2)).text, HasSubstr("Paris"));
}

TEST_F(WorkerTest, BadRequestsFailAndTheWorkerGoesOn) {
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model()).failure.has_value());
  const Answer medium = worker.execute(ask(1, std::string(2000, '1')));
  ASSERT_TRUE(medium.failure.has_value());
  EXPECT_EQ(medium.failure->kind, FailureKind::ContextOverflow);
  EXPECT_GT(medium.failure->needed, 512U);
  EXPECT_EQ(medium.failure->limit, 512U);
  const Answer large = worker.execute(ask(2, std::string(1U << 20U, 'x')));
  ASSERT_TRUE(large.failure.has_value());
  EXPECT_EQ(large.failure->kind, FailureKind::ContextOverflow);
  EXPECT_EQ(worker.execute(ask(3, "\xFF")).failure->kind, FailureKind::InvalidRequest);
  ipc::ExecuteRequest request = ask(4, "x");
  request.top_p = 7;
  EXPECT_EQ(worker.execute(request).failure->kind, FailureKind::InvalidRequest);
  request = ask(5, "x");
  request.messages[0].role = "<|im_end|>";
  EXPECT_EQ(worker.execute(request).failure->kind, FailureKind::InvalidRequest);
  request = ask(6, "");
  request.raw = true;
  const Answer empty = worker.execute(request);
  EXPECT_TRUE(empty.failure.has_value() || empty.done.has_value());
  EXPECT_TRUE(worker.execute(ask(7, std::string("NUL \0 inside", 12))).done.has_value());
  EXPECT_THAT(worker.execute(ask_for_paris(8)).text, HasSubstr("Paris"));
}

TEST_F(WorkerTest, AGrammarABiasAndProbabilitiesAreHonoured) {
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model()).failure);
  auto request = ask(1, "Is water wet?");
  request.grammar = "root ::= \"maybe\" | \"perhaps\"";
  EXPECT_THAT(worker.execute(request).text, ::testing::AnyOf("maybe", "perhaps"));
  request = ask(2, "Is water wet?");
  request.grammar = "root ::= (";
  ASSERT_TRUE(worker.execute(request).failure);
  request = ask(3, "Is water wet?");
  request.logit_bias = {{4'000'000, 1.0F}};
  ASSERT_TRUE(worker.execute(request).failure);
  request = ask(4, "Is water wet?");
  request.top_logprobs = 3;
  request.max_tokens = 1;
  worker.send(request);
  const auto* frame = worker.next();
  ASSERT_TRUE(frame != nullptr && frame->body_as_Token() != nullptr);
  const auto candidates = ipc::read_logprobs(*frame->body_as_Token());
  ASSERT_EQ(candidates.size(), 4U);
  EXPECT_EQ(candidates[0].piece, candidates[1].piece) << "greedy takes the likeliest";
  EXPECT_LE(candidates[0].logprob, 0.0F);
  EXPECT_GE(candidates[1].logprob, candidates[2].logprob);
  (void)worker.collect(4, [] {});
}

TEST_F(WorkerTest, AnAnswerFollowsAJsonSchema) {
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model()).failure);
  auto request = ask(1, "Describe a cat named Tom who is three years old.");
  request.max_tokens = 60;
  request.json_schema = R"({"type":"object","properties":{"name":{"type":"string","maxLength":10},)"
                        R"("age":{"type":"integer","minimum":0,"maximum":30}},)"
                        R"("required":["name","age"],"additionalProperties":false})";
  const Answer answer = worker.execute(request);
  ASSERT_TRUE(answer.done) << (answer.failure ? answer.failure->message : "nothing");
  EXPECT_EQ(answer.done->finish, Finish::Stop);
  EXPECT_THAT(answer.text, ::testing::MatchesRegex(R"(\{"name": ".*", "age": [0-9]+\})"));
  request.id = 2;
  request.json_schema = R"({"type":"nonsense"})";
  const Answer refused = worker.execute(request);
  ASSERT_TRUE(refused.failure);
  EXPECT_EQ(refused.failure->kind, FailureKind::SchemaRefused);
}

TEST_F(WorkerTest, CountsAPromptWithoutAnswering) {
  RunningWorker worker;
  ASSERT_FALSE(worker.load(model()).failure);
  auto request = ask_for_paris(1);
  request.only_count = true;
  const Answer counted = worker.execute(request);
  ASSERT_TRUE(counted.done);
  EXPECT_EQ(counted.text, "");
  EXPECT_EQ(counted.done->completion_tokens, 0);
  const Answer answered = worker.execute(ask_for_paris(2));
  EXPECT_EQ(counted.done->prompt_tokens, answered.done->prompt_tokens);
}

TEST_F(WorkerTest, AFileThatIsNoModelIsModelInvalid) {
  RunningWorker worker;
  auto source = open_regular_file("/proc/self/exe");
  ASSERT_TRUE(source.has_value());
  const Answer answer = worker.load(*std::move(source));
  ASSERT_TRUE(answer.failure.has_value());
  EXPECT_EQ(answer.failure->kind, FailureKind::ModelInvalid);
  EXPECT_THAT(answer.failure->message, HasSubstr("the model cannot be loaded"));
  EXPECT_EQ(worker.exit_code(), 1);
}

TEST_F(WorkerTest, AWrongFrameEndsTheWorker) {
  RunningWorker worker;
  ipc::Builder builder;
  ipc::encode_locked(builder);
  ASSERT_TRUE(worker.channel().send(builder).has_value());
  const auto* frame = worker.next();
  ASSERT_NE(frame, nullptr);
  EXPECT_NE(frame->body_as_Failed(), nullptr);
  EXPECT_EQ(worker.exit_code(), 2);
}

}  // namespace
}  // namespace symbiont::worker
