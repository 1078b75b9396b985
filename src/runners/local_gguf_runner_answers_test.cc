#include <unistd.h>

#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include "runners/local_gguf_runner_for_test.h"

namespace symbiont {
namespace {

using namespace std::chrono_literals;
using testing::answering;
using testing::FakeWorker;
using testing::kind_of;
using testing::LocalGgufRunnerTest;
using testing::serving;

TEST_F(LocalGgufRunnerTest, ProtocolBreachesKill) {
  using Act = std::function<void(FakeWorker&, std::uint64_t id)>;
  const std::vector<Act> breaches = {
      [](FakeWorker& w, std::uint64_t id) { w.token(id + 1, "x"); },
      [](FakeWorker& w, std::uint64_t id) { w.token(id, "\xFF"); },
      [](FakeWorker& w, std::uint64_t) { w.ready(); },
      [](FakeWorker& w, std::uint64_t) { w.progress(2.0F); },
      [](FakeWorker& w, std::uint64_t id) { w.done(id, ipc::fb::Finish::Cancelled, 0); },
      [](FakeWorker& w, std::uint64_t id) { w.done(id, ipc::fb::Finish::Stop, 999'999); },
      [](FakeWorker& w, std::uint64_t id) { w.done(id + 7, ipc::fb::Finish::Stop, 0); },
      [](FakeWorker& w, std::uint64_t id) { w.done(id, ipc::fb::Finish::Stop, 0, -2); },
      [](FakeWorker& w, std::uint64_t id) { w.done(id, ipc::fb::Finish::Stop, 0, 2); },
      [](FakeWorker& w, std::uint64_t id) { w.done(id, ipc::fb::Finish::Length, 0, 0); },
      [](FakeWorker& w, std::uint64_t) {
        EXPECT_EQ(::write(w.channel().fd(), "\xFF\xFF\xFF\xFFgarbage", 11), 11);
      },
      [](FakeWorker& w, std::uint64_t id) {
        for (int i = 0; i < 400; ++i)
          w.token(id, "");
      },
  };
  for (std::size_t i = 0; i < breaches.size(); ++i) {
    auto runner = make(serving([&](FakeWorker& worker, const ipc::ExecuteRequest& request) {
      breaches[i](worker, request.id);
      worker.wait_for_cancel();
      return Verdict{.kind = VerdictKind::Exited};
    }));
    ExecutionOptions options;
    options.stop = {"one", "two"};
    EXPECT_EQ(kind_of(runner->execute("p", options)), "SandboxViolation") << "breach " << i;
    EXPECT_EQ(runner->worker_pid(), 0);
  }
}

TEST_F(LocalGgufRunnerTest, MoreProbabilitiesThanWereAskedForAreABreach) {
  const std::vector<ipc::Candidate> two = {{"a", -1.0F}, {"b", -2.0F}};
  for (const std::optional<std::uint32_t> asked : {std::optional<std::uint32_t>(), {0U}, {1U}}) {
    auto runner = make(serving([&](FakeWorker& worker, const ipc::ExecuteRequest& request) {
      worker.token(request.id, "x", two);
      worker.done(request.id, ipc::fb::Finish::Stop, 1);
      return Verdict{.kind = VerdictKind::Exited};
    }));
    ExecutionOptions options;
    options.top_logprobs = asked;
    const auto outcome = runner->execute("p", options);
    EXPECT_EQ(outcome.has_value(), asked == 1U);
    if (outcome.has_value()) {
      EXPECT_EQ(outcome->logprobs.front().top.front().token, "b");
    } else {
      EXPECT_EQ(kind_of(outcome), "SandboxViolation");
    }
  }
}

TEST_F(LocalGgufRunnerTest, APieceHasTheProbabilitiesOfItsTokens) {
  const std::vector<ipc::Candidate> a = {{"a", -1.0F}};
  const std::vector<ipc::Candidate> b = {{"b", -2.0F}};
  auto runner = make(serving([&](FakeWorker& worker, const ipc::ExecuteRequest& request) {
    worker.token(request.id, "", a);  // held back: shown with the next one
    worker.token(request.id, "ab", b);
    worker.done(request.id, ipc::fb::Finish::Stop, 2);
    worker.wait_for_cancel();
    return Verdict{.kind = VerdictKind::Exited};
  }));
  ExecutionOptions options;
  options.top_logprobs = 0;
  std::vector<std::string> pieces;
  const auto note = [&](const TextPiece& piece) {
    pieces.emplace_back(piece.text);
    for (const TokenLogprobs& token : piece.logprobs)
      pieces.push_back(token.chosen.token);
    return true;
  };
  const auto outcome = runner->execute("p", options, note, {});
  ASSERT_TRUE(outcome.has_value()) << outcome.error().message();
  EXPECT_EQ(pieces, (std::vector<std::string>{"ab", "a", "b"}));
  EXPECT_EQ(outcome->logprobs.size(), 2U);
}

ExecutionOptions embedding() {
  ExecutionOptions options;
  options.embed = true;
  return options;
}

TEST_F(LocalGgufRunnerTest, MakesAnEmbeddingOfEachText) {
  const std::vector<std::vector<float>> made = {{1.0F, 0.0F}, {0.0F, 1.0F}};
  auto runner = make(serving([&](FakeWorker& worker, const ipc::ExecuteRequest& request) {
                       EXPECT_TRUE(request.embed);
                       worker.embedding(request.id, 0, made[0]);
                       worker.embedding(request.id, 1, made[1]);
                       worker.done(request.id, ipc::fb::Finish::Stop, 0);
                       worker.wait_for_cancel();
                       return Verdict{.kind = VerdictKind::Exited};
                     }),
                     {.embeddings = true});
  const std::vector<ChatMessage> texts = {{"user", "a"}, {"user", "b"}};
  const auto outcome = runner->execute_chat(texts, embedding(), nullptr, {});
  ASSERT_TRUE(outcome.has_value()) << outcome.error().message();
  EXPECT_EQ(outcome->embeddings, made);
  EXPECT_EQ(outcome->metadata.usage.prompt_tokens, 7U);
}

TEST_F(LocalGgufRunnerTest, AnAnswerOfTooManyNumbersIsRefusedBeforeItIsMade) {
  auto runner = make(
      [](FakeWorker& worker) {
        (void)worker.start_up(ipc::kMaxEmbeddingValues);
        EXPECT_FALSE(worker.next_execute().has_value()) << "it was asked for all the same";
        return Verdict{.kind = VerdictKind::Exited};
      },
      {.embeddings = true});
  const std::vector<ChatMessage> texts(17, {"user", "a"});  // 16 times 2^16 is the most
  const auto outcome = runner->execute_chat(texts, embedding(), nullptr, {});
  EXPECT_EQ(kind_of(outcome), "InvalidInput");
}

TEST_F(LocalGgufRunnerTest, OtherEmbeddingsThanWereAskedForAreABreach) {
  using Act = std::function<void(FakeWorker&, std::uint64_t id)>;
  const std::vector<float> right = {1.0F, 0.0F};
  const std::vector<float> large = {1.0F, 0.0F, 0.0F};
  const std::vector<float> absurd = {1.0F, std::numeric_limits<float>::quiet_NaN()};
  const std::vector<Act> breaches = {
      [&](FakeWorker& w, std::uint64_t id) { w.embedding(id, 1, right); },
      [&](FakeWorker& w, std::uint64_t id) { w.embedding(id, 0, large); },
      [&](FakeWorker& w, std::uint64_t id) { w.embedding(id, 0, {}); },
      [&](FakeWorker& w, std::uint64_t id) { w.embedding(id, 0, absurd); },
      [&](FakeWorker& w, std::uint64_t id) { w.embedding(id + 1, 0, right); },
      [&](FakeWorker& w, std::uint64_t id) { w.token(id, "x"); },
      [&](FakeWorker& w, std::uint64_t id) { w.done(id, ipc::fb::Finish::Stop, 0); },
      [&](FakeWorker& w, std::uint64_t id) { w.done(id, ipc::fb::Finish::Length, 0); },
      [&](FakeWorker& w, std::uint64_t id) {
        w.embedding(id, 0, right);
        w.embedding(id, 1, right);
      },
      [&](FakeWorker& w, std::uint64_t id) {
        w.embedding(id, 0, right);
        w.done(id, ipc::fb::Finish::Stop, 1);
      },
  };
  for (std::size_t i = 0; i < breaches.size(); ++i) {
    auto runner = make(serving([&](FakeWorker& worker, const ipc::ExecuteRequest& request) {
                         breaches[i](worker, request.id);
                         worker.wait_for_cancel();
                         return Verdict{.kind = VerdictKind::Exited};
                       }),
                       {.embeddings = true});
    EXPECT_EQ(kind_of(runner->execute("p", embedding())), "SandboxViolation") << "breach " << i;
  }
  auto runner = make(serving([&](FakeWorker& worker, const ipc::ExecuteRequest& request) {
    worker.embedding(request.id, 0, right);
    worker.wait_for_cancel();
    return Verdict{.kind = VerdictKind::Exited};
  }));
  EXPECT_EQ(kind_of(runner->execute("p")), "SandboxViolation") << "nobody asked for one";
  EXPECT_EQ(kind_of(runner->execute("p", embedding())), "InvalidInput") << "not told to make any";
}

TEST_F(LocalGgufRunnerTest, TextsForEmbeddingsAreBounded) {
  auto runner = make(answering({}), {.embeddings = true});
  const auto field_of = [&](const std::vector<ChatMessage>& texts) {
    const auto outcome = runner->execute_chat(texts, embedding(), nullptr, {});
    const auto* invalid = outcome.error().get_if<runner_error::InvalidInput>();
    return invalid == nullptr ? std::string(outcome.error().kind()) : invalid->field;
  };
  EXPECT_EQ(field_of({}), "input");
  EXPECT_EQ(field_of(std::vector<ChatMessage>(257, {"user", "x"})), "input");
  EXPECT_EQ(field_of({{"user", "x"}, {"user", ""}}), "input[1]");
  EXPECT_EQ(field_of(std::vector<ChatMessage>(2, {"user", std::string(600'000, 'x')})), "input");
}

}  // namespace
}  // namespace symbiont
