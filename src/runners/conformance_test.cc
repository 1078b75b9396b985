#include "runners/conformance.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runners/fake_engine.h"
#include "runners/sandbox_host_impl.h"

namespace symbiont::conformance {
namespace {

using std::chrono::milliseconds;
using Json = nlohmann::json;

/// The one rule an engine breaks.
enum class Fault : std::uint8_t {
  None,
  NeverReady,
  EndsBeforeReady,
  OtherProtocol,
  TokenBeforeReady,
  Mute,
  AnswersWithError,
  CancelsUnasked,
  WrongId,
  TokenAfterDone,
  OneShot,
  FailsOnConversations,
  RefusesUnknownFields,
  WritesLatin1,
  WritesLoneSurrogates,
  EndsOnLongPrompts,
  IgnoresMaxTokens,
  CountsTooMany,
  IgnoresCancel,
  ErrorOnCancel,
  EndsAfterCancel,
  AnswersLateCancel,
  EndsOnBadLine,
  IgnoresBadLine,
  WrongCodeOnBadLine,
  EndsAfterBadLine,
  EndsOnUnknownType,
  EndsOnBadRequest,
  StaysAtTheEnd,
  EndsWith3,
  NoUsage,
  Banner,
  SecondReady,
};

const Verdict kGone{.kind = VerdictKind::Exited, .exit_code = 1};
constexpr milliseconds kShort{50};
constexpr milliseconds kStays{400};

/// An engine that keeps to the protocol but for `fault_`. It never waits for a clock: a long answer
/// waits for the line that cancels it.
class Engine {
 public:
  Engine(FakeEngine& io, Fault fault) : io_(io), fault_(fault) {}

  Verdict run() {
    if (!start()) return kGone;
    while (const auto line = io_.line()) {
      if (!take(*line)) return kGone;
    }
    if (is(Fault::StaysAtTheEnd)) std::this_thread::sleep_for(kStays);
    return {.kind = VerdictKind::Exited, .exit_code = is(Fault::EndsWith3) ? 3 : 0};
  }

 private:
  [[nodiscard]] bool is(Fault fault) const { return fault_ == fault; }

  void fail(std::uint64_t id, std::string_view code = "invalid_input") {
    io_.say(Json({{"type", "error"}, {"id", id}, {"code", code}, {"message", "no"}}).dump());
  }

  bool start() {
    if (is(Fault::NeverReady)) return true;
    if (is(Fault::EndsBeforeReady)) return false;
    if (is(Fault::Banner)) io_.say("loading the model...");
    if (is(Fault::TokenBeforeReady)) io_.token(1, "early");
    if (is(Fault::OtherProtocol)) {
      io_.say(R"({"type":"ready","protocol":2})");
    } else {
      io_.ready();
    }
    return true;
  }

  /// False: it ends.
  bool take(const std::string& line) {
    const Json message = Json::parse(line, nullptr, false);
    if (!message.is_object()) {
      if (is(Fault::EndsOnBadLine)) return false;
      if (is(Fault::IgnoresBadLine)) return true;
      fail(0, is(Fault::WrongCodeOnBadLine) ? "failed" : "invalid_input");
      return !is(Fault::EndsAfterBadLine);
    }
    if (message["type"] == "execute") return answer(message);
    if (message["type"] == "cancel") {
      if (is(Fault::AnswersLateCancel)) fail(message["id"]);
      return true;
    }
    if (is(Fault::EndsOnUnknownType)) return false;
    fail(0);
    return true;
  }

  bool answer(const Json& request) {
    const std::uint64_t id = is(Fault::WrongId) ? 1 : request["id"].get<std::uint64_t>();
    if (is(Fault::Mute)) return true;
    if (is(Fault::AnswersWithError)) {
      fail(id);
      return true;
    }
    if (!request["prompt"].is_string()) {
      fail(id);
      return !is(Fault::EndsOnBadRequest);
    }
    if (is(Fault::FailsOnConversations) && request["messages"].size() > 1) {
      fail(id, "failed");
      return true;
    }
    if (is(Fault::RefusesUnknownFields) && request.contains("x_unknown")) {
      fail(id);
      return true;
    }
    const auto prompt = request["prompt"].get<std::string>();
    const auto words = static_cast<unsigned>(std::ranges::count(prompt, ' ')) + 1;
    if (is(Fault::EndsOnLongPrompts) && prompt.size() > 900'000) return false;
    const auto most = request["options"]["max_tokens"].get<unsigned>();
    if (words > 100 && most > words) return long_answer(id);
    short_answer(id, prompt, words, most);
    return !is(Fault::OneShot);
  }

  void short_answer(std::uint64_t id, const std::string& prompt, unsigned words, unsigned most) {
    const bool ascii = std::ranges::all_of(prompt, [](char c) { return (c & 0x80) == 0; });
    if (is(Fault::WritesLatin1) && !ascii)
      io_.say("{\"type\":\"token\",\"id\":" + std::to_string(id) + ",\"text\":\"caf\xE9\"}");
    if (is(Fault::WritesLoneSurrogates) && !ascii)
      io_.say("{\"type\":\"token\",\"id\":" + std::to_string(id) + ",\"text\":\"\\ud83d\"}");
    const unsigned tokens = std::min(words, is(Fault::IgnoresMaxTokens) ? 100 : most);
    for (unsigned i = 0; i < tokens; ++i)
      io_.token(id, "word");
    if (is(Fault::SecondReady)) io_.ready();
    const unsigned counted = is(Fault::CountsTooMany) && words > 100 ? most + 1 : tokens;
    if (is(Fault::NoUsage)) {
      io_.say(Json({{"type", "done"}, {"id", id}, {"finish_reason", "stop"}}).dump());
    } else {
      io_.done(id, is(Fault::CancelsUnasked) ? "cancelled" : "stop", counted);
    }
    if (is(Fault::TokenAfterDone)) io_.token(id, "late");
  }

  bool long_answer(std::uint64_t id) {
    io_.token(id, "a");
    if (io_.next("cancel").is_null()) return true;
    if (is(Fault::IgnoresCancel)) return true;
    if (is(Fault::ErrorOnCancel)) {
      fail(id, "failed");
    } else {
      io_.done(id, "cancelled");
    }
    return !is(Fault::EndsAfterCancel) && !is(Fault::OneShot);
  }

  FakeEngine& io_;
  const Fault fault_;
};

std::expected<Conformance, SandboxError> run(Fault fault, const Bounds& bounds = {}) {
  (void)::signal(SIGPIPE, SIG_IGN);  // the fake engines are threads of this process
  auto host = SandboxHost::create();
  host->impl().launcher = std::make_shared<FakeEngineLauncher>(
      [fault](FakeEngine& io) { return Engine(io, fault).run(); });
  const StartEngine start = [&host] {
    const SandboxCommand command{
        .argv = {"/bin/true"}, .environment = {}, .working_directory = "/"};
    return EngineChannel::start(host, {}, command, {});
  };
  return run_checks(start, bounds, {});
}

std::vector<std::string> failing(const Conformance& found) {
  std::vector<std::string> names;
  for (const CheckResult& result : found.results) {
    if (result.outcome == Outcome::Fail) names.emplace_back(result.name);
  }
  return names;
}

const CheckResult& of(const Conformance& found, std::string_view name) {
  return *std::ranges::find(found.results, name, &CheckResult::name);
}

/// What stands here is waited for in vain by one check only.
Bounds bounds_for(Fault fault) {
  Bounds bounds{.idle = milliseconds(10), .settle = milliseconds(5)};
  if (fault == Fault::TokenAfterDone || fault == Fault::AnswersLateCancel)
    bounds.idle = milliseconds(500);
  if (fault == Fault::NeverReady) bounds.ready = kShort;
  if (fault == Fault::Mute) bounds.answer = kShort;
  if (fault == Fault::IgnoresCancel) bounds.cancel = kShort;
  if (fault == Fault::IgnoresBadLine) bounds.reply = milliseconds(500);
  if (fault == Fault::StaysAtTheEnd) bounds.end = kShort;
  return bounds;
}

struct Broken {
  Fault fault;
  std::string check;
  std::string detail;  ///< part of it
};

const std::vector<Broken>& broken_engines() {
  static const std::vector<Broken> kEngines = {
      {Fault::NeverReady, "ready", "no 'ready' within 50 ms"},
      {Fault::EndsBeforeReady, "ready", "ended before it was ready: exited with code 1"},
      {Fault::OtherProtocol, "ready", "a 'ready' for protocol 2"},
      {Fault::TokenBeforeReady, "ready", "a 'token' of id 1 before 'ready'"},
      {Fault::Mute, "answer", "no 'done' of id 1 within 50 ms"},
      {Fault::AnswersWithError, "answer", "answered by an 'error': no"},
      {Fault::CancelsUnasked, "answer", "it cancelled what nobody cancelled"},
      {Fault::WrongId, "ids", "a 'token' of id 1 while execution 5 ran"},
      {Fault::TokenAfterDone, "order", "a 'token' of id 4 after the end of execution 4"},
      {Fault::OneShot, "second-prompt", "exited with code 1"},
      {Fault::FailsOnConversations, "conversation", "failed: no"},
      {Fault::RefusesUnknownFields, "unknown-fields", "answered by an 'error'"},
      {Fault::WritesLatin1, "utf-8", "a line that is not UTF-8"},
      {Fault::WritesLoneSurrogates, "utf-8", "a line that is no JSON object"},
      {Fault::EndsOnLongPrompts, "long-prompt", "exited with code 1"},
      {Fault::IgnoresMaxTokens, "max-tokens", "more than 20 'token' messages for max_tokens 4"},
      {Fault::CountsTooMany, "max-tokens", "completion_tokens 5 for max_tokens 4"},
      {Fault::IgnoresCancel, "cancel", "within 50 ms"},
      {Fault::ErrorOnCancel, "cancel", "an 'error' in place of 'done'"},
      {Fault::EndsAfterCancel, "after-cancel", "exited with code 1"},
      {Fault::AnswersLateCancel, "late-cancel", "an 'error' of id"},
      {Fault::EndsOnBadLine, "bad-line", "exited with code 1"},
      {Fault::IgnoresBadLine, "bad-line", "no 'error' within 500 ms"},
      {Fault::WrongCodeOnBadLine, "bad-line", "is not invalid_input"},
      {Fault::EndsAfterBadLine, "bad-line", "the prompt after it: "},
      {Fault::EndsOnUnknownType, "unknown-type", "exited with code 1"},
      {Fault::EndsOnBadRequest, "bad-request", "exited with code 1"},
      {Fault::StaysAtTheEnd, "end-of-input", "still runs 50 ms after"},
      {Fault::EndsWith3, "end-of-input", "exited with code 3"},
      {Fault::NoUsage, "done", "usage is no object"},
      {Fault::Banner, "output", "'loading the model...', before 'ready'"},
      {Fault::SecondReady, "output", "a second 'ready'"},
  };
  return kEngines;
}

TEST(Conformance, AnEngineThatKeepsToTheProtocolPassesAll) {
  std::vector<std::string_view> told;
  const auto found = run(Fault::None, bounds_for(Fault::None));
  ASSERT_TRUE(found.has_value()) << found.error().message;
  for (const CheckResult& result : found->results) {
    EXPECT_EQ(result.outcome, Outcome::Ok) << result.name << ": " << result.detail;
    EXPECT_TRUE(result.remedy.empty()) << result.name;
    told.push_back(result.name);
  }
  EXPECT_EQ(told, check_names());
  EXPECT_EQ(found->engine.name, "fake");
  EXPECT_EQ(found->controls.size(), 1U);
}

TEST(Conformance, EachBrokenRuleFailsItsCheckAndNoOther) {
  for (const Broken& engine : broken_engines()) {
    SCOPED_TRACE(engine.check + ": " + engine.detail);
    const auto found = run(engine.fault, bounds_for(engine.fault));
    ASSERT_TRUE(found.has_value()) << found.error().message;
    EXPECT_EQ(failing(*found), std::vector<std::string>{engine.check});
    const CheckResult& result = of(*found, engine.check);
    EXPECT_NE(result.detail.find(engine.detail), std::string::npos) << result.detail;
    EXPECT_FALSE(result.remedy.empty()) << result.detail;
    EXPECT_EQ(found->results.size(), check_names().size());
  }
}

TEST(Conformance, EveryCheckHasBeenSeenToFail) {
  std::set<std::string_view> seen;
  for (const Broken& engine : broken_engines())
    seen.insert(engine.check);
  const auto names = check_names();
  EXPECT_EQ(seen, std::set<std::string_view>(names.begin(), names.end()));
}

TEST(Conformance, WhatShowsNothingIsSkippedAndSaysWhy) {
  const auto found = run(Fault::Mute, bounds_for(Fault::Mute));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(of(*found, "cancel").outcome, Outcome::Skip);
  EXPECT_EQ(of(*found, "cancel").detail, "it needs 'answer'");
  EXPECT_EQ(of(*found, "end-of-input").outcome, Outcome::Ok);
}

TEST(Conformance, AStartThatFailsIsNoFindingAboutTheEngine) {
  const StartEngine start = []() -> std::expected<std::unique_ptr<EngineChannel>, SandboxError> {
    return std::unexpected(SandboxError{.kind = SandboxError::Kind::ControlUnavailable,
                                        .message = "no memory control",
                                        .controls = {"memory"}});
  };
  const auto found = run_checks(start, {}, {});
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().kind, SandboxError::Kind::ControlUnavailable);
}

}  // namespace
}  // namespace symbiont::conformance
