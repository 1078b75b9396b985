#include "runners/conformance_checks.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "runners/worker_session.h"

namespace symbiont::conformance {
namespace {

using engine_protocol::Finish;
using End = Exchange::End;
using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr std::uint32_t kTokenLimit = 4;    // asked for by the check of max_tokens
constexpr std::size_t kLongWords = 400;     // long enough to be cancelled, short for a context
constexpr std::size_t kLongLine = 1000000;  // bytes; a runner takes prompts up to 1 MiB
constexpr milliseconds kFirstToken{5000};   // a cancel need not wait for it
constexpr std::string_view kLiveOn =
    "after an 'error' wait for the next line; only the end of standard input ends the engine";

std::string words(std::size_t count) {
  std::string text = "Repeat:";
  for (std::size_t i = 0; i < count; ++i)
    text += " word";
  return text;
}

std::string_view to_string(Finish finish) {
  switch (finish) {
    case Finish::Stop:
      return "stop";
    case Finish::Length:
      return "length";
    case Finish::Cancelled:
      return "cancelled";
  }
  return "unknown";
}

std::string figures(const Exchange& exchange) {
  return fmt::format("{} token{}, {}", exchange.tokens, exchange.tokens == 1 ? "" : "s",
                     exchange.done.has_value() ? to_string(exchange.done->finish) : "no reason");
}

/// For rules that an answer shows to be kept.
Finding needs_answer(const Exchange& exchange) {
  switch (exchange.end) {
    case End::Done:
      return ok(figures(exchange));
    case End::Flood:
      return ok("an answer without an end");  // the check of max_tokens says so
    case End::Error:
      return failed(fmt::format("answered by an 'error': {}", exchange.error.message),
                    "this request is one that the host sends: answer it");
    case End::Broken:
      break;
  }
  return exchange.problem;
}

/// For requests that an engine may refuse, as long as it says so.
Finding answer_or_refusal(const Exchange& exchange) {
  if (exchange.end != End::Error) return needs_answer(exchange);
  if (exchange.error.invalid_input) return ok("refused: " + exchange.error.message);
  return failed(fmt::format("failed: {}", exchange.error.message),
                "answer, or refuse with the code invalid_input");
}

/// Whether the engine that there is, not a new one, answers still. One that was given up because it
/// talked on is the matter of max-tokens.
Finding lives_on(Kit& kit, Finding before) {
  if (before.outcome == Outcome::Fail || !kit.has_engine()) return before;
  const Finding next = needs_answer(kit.ask("Are you there?"));
  if (next.outcome == Outcome::Ok) return before;
  return failed("the prompt after it: " + next.detail, std::string(kLiveOn));
}

Finding check_ready(Kit& kit) {  // the engine is started by whoever runs a check
  const auto& [name, version] = kit.ready();
  return ok(fmt::format("'{}' {}", name, version));
}

Finding check_answer(Kit& kit) {
  const Exchange exchange = kit.ask("Say hello to the world.");
  if (exchange.done.has_value() && exchange.done->finish == Finish::Cancelled) {
    return failed("it cancelled what nobody cancelled",
                  "finish_reason is stop or length for a whole answer");
  }
  return needs_answer(exchange);
}

Finding check_second(Kit& kit) {
  Finding first = needs_answer(kit.ask("The first of two prompts."));
  if (first.outcome == Outcome::Fail) {
    if (!kit.has_engine()) kit.start_each_anew();
    return first;
  }
  if (!kit.has_engine()) return skipped("the first answer had no end; see 'max-tokens'");
  const Finding second = needs_answer(kit.ask("The second of two prompts."));
  if (second.outcome == Outcome::Ok) return ok();
  if (!kit.has_engine()) kit.start_each_anew();
  return failed(
      "the second one: " + second.detail,
      "read the next line after an answer; only the end of standard input ends the engine");
}

Finding check_order(Kit& kit) {
  const Exchange exchange = kit.ask("Say hello to the stars.");
  if (exchange.end == End::Broken) return exchange.problem;
  const auto more = kit.listen(kit.bounds().idle, false);
  if (!more.has_value()) return ok();
  return failed(fmt::format("{} after the end of execution {}", more->detail, exchange.id),
                "'done' or 'error' is the last message of an execution");
}

Finding check_ids(Kit& kit) {
  const Exchange exchange = kit.ask("Say hello to the moon.");
  if (exchange.end == End::Broken) return exchange.problem;
  if (exchange.foreign.empty()) return ok(fmt::format("id {}", exchange.id));
  return failed(fmt::format("{} while execution {} ran", exchange.foreign, exchange.id),
                "each message repeats the id of the 'execute' it answers");
}

Finding check_conversation(Kit& kit) {
  const std::vector<ChatMessage> messages = {{"system", "You are brief."},
                                             {"user", "Name a colour."},
                                             {"assistant", "Blue."},
                                             {"user", "Name another."}};
  Exchange exchange = kit.begin(kit.request(messages, Kit::kFewTokens), Kit::kFewTokens);
  kit.finish(exchange, kit.bounds().answer);
  return answer_or_refusal(exchange);
}

Finding check_unknown_fields(Kit& kit) {
  const ChatMessage message{"user", "Say hello to the sun."};
  Json request = Json::parse(kit.request({&message, 1}, Kit::kFewTokens));
  request["x_unknown"] = {{"a", 1}};
  request["options"]["x_unknown"] = "b";
  Exchange exchange = kit.begin(request.dump() + "\n", Kit::kFewTokens);
  kit.finish(exchange, kit.bounds().answer);
  Finding finding = needs_answer(exchange);
  if (finding.outcome == Outcome::Fail) finding.remedy = "ignore fields that you do not know";
  return finding;
}

Finding check_utf8(Kit& kit) {
  const std::size_t before = kit.strays.count;
  Finding finding = answer_or_refusal(
      kit.ask("Gr\u00fc\u00dfe \u4e16\u754c \U0001F30D e\u0301\t\"quoted\" back\\slash\nnew line"));
  if (finding.outcome == Outcome::Fail) {
    return failed(finding.detail,
                  "read and write UTF-8 whatever the locale says (in Python: "
                  "sys.stdin.reconfigure(encoding=\"utf-8\"))");
  }
  if (before == 0 && kit.strays.count != 0) {
    return failed(std::exchange(kit.strays, {}).first,
                  "escape what stands in a JSON string; a lone surrogate is no character");
  }
  if (kit.bad_bytes.count == 0) return finding;
  return failed("a line that is not UTF-8: " + kit.bad_bytes.first,
                "write UTF-8; hold a character back until all its bytes are there");
}

Finding check_long_prompt(Kit& kit) {
  constexpr std::size_t kWordBytes = 5;
  return lives_on(kit, answer_or_refusal(kit.ask(words(kLongLine / kWordBytes), kTokenLimit)));
}

Finding check_max_tokens(Kit& kit) {
  const Exchange exchange = kit.ask(words(kLongWords), kTokenLimit);
  if (exchange.end == End::Broken) return exchange.problem;
  if (exchange.end == End::Error)
    return skipped(fmt::format("the prompt was refused: {}", exchange.error.message));
  const std::string remedy = "stop after options.max_tokens tokens with finish_reason 'length'";
  if (exchange.end == End::Flood) {
    return failed(fmt::format("more than {} 'token' messages for max_tokens {}",
                              kTokenLimit + kExtraTokenFrames, kTokenLimit),
                  remedy);
  }
  if (exchange.done.has_value() && exchange.done->usage.completion_tokens > kTokenLimit) {
    return failed(fmt::format("completion_tokens {} for max_tokens {}",
                              exchange.done->usage.completion_tokens, kTokenLimit),
                  remedy);
  }
  return ok(fmt::format("{} for max_tokens {}", figures(exchange), kTokenLimit));
}

Finding check_cancel(Kit& kit) {
  const ChatMessage message{"user", words(kLongWords)};
  Exchange exchange = kit.begin(kit.request({&message, 1}, 2 * kLongWords), 2 * kLongWords);
  kit.read_first(exchange, std::min(kFirstToken, kit.bounds().answer));
  if (exchange.over && exchange.end == End::Broken) return exchange.problem;
  if (exchange.over) return skipped("the answer was over before it could be cancelled");
  const auto sent = std::chrono::steady_clock::now();
  Finding said = kit.say(engine_protocol::cancel_line(exchange.id));
  if (said.outcome == Outcome::Fail) return said;
  kit.finish(exchange, kit.bounds().cancel);
  const std::string remedy =
      "read standard input while you answer (a thread, or between tokens), stop and say 'done' "
      "with finish_reason 'cancelled'";
  if (exchange.end == End::Broken) return failed(exchange.problem.detail, remedy);
  if (exchange.end == End::Error)
    return failed(fmt::format("an 'error' in place of 'done': {}", exchange.error.message), remedy);
  if (exchange.end == End::Flood) return skipped("the answer had no end; see 'max-tokens'");
  const auto took = std::chrono::ceil<milliseconds>(std::chrono::steady_clock::now() - sent);
  const bool whole = exchange.done.has_value() && exchange.done->finish != Finish::Cancelled;
  return ok(fmt::format("'done' {} ms after it{}", took.count(),
                        whole ? "; the whole answer came first" : ""));
}

Finding check_after_cancel(Kit& kit) {
  if (kit.starts_each_anew()) return skipped("it needs 'second-prompt'");
  return lives_on(kit, ok());
}

Finding check_late_cancel(Kit& kit) {
  const Exchange exchange = kit.ask("Say hello to the sea.");
  if (exchange.end == End::Broken) return exchange.problem;
  Finding ready = kit.ensure_engine();  // takes what is said out of turn
  if (ready.outcome == Outcome::Fail) return ready;
  Finding said = kit.say(engine_protocol::cancel_line(exchange.id));
  if (said.outcome == Outcome::Fail) return said;
  const auto answer = kit.listen(kit.bounds().idle, true);
  if (!answer.has_value()) return lives_on(kit, ok());
  return failed(
      fmt::format("a cancel of execution {}, which was over: {}", exchange.id, answer->detail),
      "ignore a cancel whose execution is over: it crossed the 'done' on its way");
}

/// A line that is no request: an error has to follow, and the engine to live on.
Finding check_refused_line(Kit& kit, std::string_view line, std::uint64_t own_id) {
  Finding said = kit.say(line);
  if (said.outcome == Outcome::Fail) return said;
  Finding problem;
  const auto message = kit.reply(problem);
  if (!message.has_value()) return problem;
  const auto* error = std::get_if<engine_protocol::Failed>(&*message);
  const std::string remedy =
      R"(answer {"type":"error","id":0,"code":"invalid_input","message":"..."})";
  if (error == nullptr)
    return failed(fmt::format("{} in place of 'error'", engine_protocol::describe(*message)),
                  remedy);
  if (!error->invalid_input) return failed("the code of its 'error' is not invalid_input", remedy);
  if (error->id != 0 && error->id != own_id)
    return failed(engine_protocol::describe(*message), remedy);
  return lives_on(kit, ok(error->message));
}

Finding check_bad_line(Kit& kit) {
  return check_refused_line(kit, "this line is no JSON\n", 0);
}

Finding check_unknown_type(Kit& kit) {
  const std::uint64_t id = kit.next_id();
  return check_refused_line(kit, Json({{"type", "no_such_type"}, {"id", id}}).dump() + "\n", id);
}

Finding check_bad_request(Kit& kit) {
  const Json request = {{"type", "execute"},
                        {"id", kit.next_id()},
                        {"messages", "none"},
                        {"prompt", 5},
                        {"options", Json::object()}};
  Exchange exchange = kit.begin(request.dump() + "\n", Kit::kFewTokens);
  kit.finish(exchange, kit.bounds().reply);
  if (exchange.end == End::Broken) {
    return failed(exchange.problem.detail,
                  "look at the fields before you use them; answer an 'error' with invalid_input");
  }
  return lives_on(kit, ok(exchange.end == End::Error ? exchange.error.message : "answered"));
}

Finding check_end_of_input(Kit& kit) {
  return kit.end_input();
}

Finding check_done(Kit& kit) {
  if (kit.bad_dones.count == 0) return ok();
  return failed(fmt::format("{} ({} in all)", kit.bad_dones.first, kit.bad_dones.count),
                R"(as in {"type":"done","id":1,"finish_reason":"stop","usage":{"prompt_tokens":1,)"
                R"("completion_tokens":1}})");
}

Finding check_output(Kit& kit) {
  if (kit.strays.count == 0) return ok();
  return failed(fmt::format("{} ({} in all)", kit.strays.first, kit.strays.count),
                "standard output is for the protocol; write everything else to standard error");
}

constexpr std::array kChecks = {
    Check{"ready", "the first message is 'ready' of protocol 1, within 30 s", "", check_ready},
    Check{"answer", "a prompt is answered by any number of 'token' and one 'done'", "ready",
          check_answer},
    Check{"second-prompt", "the engine answers one prompt after another", "answer", check_second},
    Check{"order", "'done' is the last message of an execution; an idle engine is silent", "answer",
          check_order},
    Check{"ids", "each message has the id of its execution", "answer", check_ids},
    Check{"conversation", "messages of every role are answered or refused", "answer",
          check_conversation},
    Check{"unknown-fields", "fields that are not known are ignored", "answer",
          check_unknown_fields},
    Check{"utf-8", "lines are UTF-8 in both directions", "answer", check_utf8},
    Check{"long-prompt", "a prompt of 1 MB is answered or refused", "second-prompt",
          check_long_prompt},
    Check{"max-tokens", "an answer has at most max_tokens tokens (16 more pieces are tolerated)",
          "answer", check_max_tokens},
    Check{"cancel", "'done' follows a 'cancel' within 2 s", "answer", check_cancel},
    Check{"after-cancel", "the engine answers after a cancelled execution", "cancel",
          check_after_cancel},
    Check{"late-cancel", "a 'cancel' that crossed the 'done' is ignored", "second-prompt",
          check_late_cancel},
    Check{"bad-line", "a line that is no JSON: 'error' with invalid_input, and the engine lives on",
          "second-prompt", check_bad_line},
    Check{"unknown-type", "a type that is not known: the same", "second-prompt",
          check_unknown_type},
    Check{"bad-request", "an 'execute' with fields of wrong types ends, and the engine lives on",
          "second-prompt", check_bad_request},
    Check{"end-of-input", "at the end of standard input it exits with 0, within 2 s", "ready",
          check_end_of_input},
    Check{"done", "each 'done' has a finish_reason and the counts of usage", "answer", check_done},
    Check{"output", "standard output has messages of the protocol, in their turn, and nothing else",
          "ready", check_output},
};

}  // namespace

std::span<const Check> all_checks() {
  return kChecks;
}

}  // namespace symbiont::conformance
