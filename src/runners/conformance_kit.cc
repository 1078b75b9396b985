#include "runners/conformance_kit.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/result.h"
#include "runners/utf8.h"
#include "runners/worker_session.h"

namespace symbiont::conformance {
namespace {

using engine_protocol::Message;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using What = EngineChannel::What;

constexpr std::size_t kMaxSettled = 256;  // lines; one that never pauses is asked all the same
constexpr std::uint64_t kSeed = 1;
constexpr std::string_view kFlush =
    "write one line for each message and flush standard output after it (print(..., flush=True), "
    "fflush(stdout))";
constexpr std::string_view kSplit = "send long text as several tokens of less than 64 KiB each";

/// The type that a line claims to have, though it may be no message otherwise.
std::string type_of(std::string_view line) {
  using Json = nlohmann::json;
  const Json object = Json::parse(engine_protocol::replace_invalid_utf8(line), nullptr, false);
  if (!object.is_object()) return {};
  const auto type = object.find("type");
  return type != object.end() && type->is_string() ? type->get<std::string>() : std::string();
}

std::uint64_t id_of(const Message& message) {
  struct Visitor {
    std::uint64_t operator()(const engine_protocol::Ready& /*ready*/) const { return 0; }
    std::uint64_t operator()(const engine_protocol::Token& token) const { return token.id; }
    std::uint64_t operator()(const engine_protocol::Done& done) const { return done.id; }
    std::uint64_t operator()(const engine_protocol::Failed& error) const { return error.id; }
  };
  return std::visit(Visitor{}, message);
}

std::string remedy_for(const Verdict& verdict, bool was_ready) {
  switch (verdict.kind) {
    case VerdictKind::MemoryLimit:
      return "raise resources.max_memory_mb of the profile, or load less";
    case VerdictKind::DiskLimit:
      return "raise resources.max_disk_mb of the profile";
    case VerdictKind::FileSizeLimit:
      return "raise filesystem.max_file_size_mb of the profile";
    case VerdictKind::ProcessLimit:
      return "raise process_limits.max_child_processes of the profile, or start no program";
    case VerdictKind::FsDenied:
      return "add the path to filesystem.read_paths or write_paths of the profile";
    case VerdictKind::NetDenied:
      return "work without the network, or allow the destination in network.allowed_destinations";
    case VerdictKind::SyscallDenied:
      return "do without the system call, or name it in process_limits.allowed_syscalls";
    default:
      break;
  }
  if (was_ready) return "catch errors inside the engine and answer them with 'error'";
  return "it sees the system's programs, its own file and the profile's paths, from the directory "
         "'/': give absolute paths, and add what it loads to filesystem.read_paths";
}

std::string with_tail(std::string text, EngineChannel& engine) {
  const std::string tail = engine.stderr_tail();
  return tail.empty() ? text : fmt::format("{}; its last words: {}", text, tail);
}

}  // namespace

Finding ok(std::string detail) {
  return {Outcome::Ok, std::move(detail), {}};
}

Finding failed(std::string detail, std::string remedy) {
  return {Outcome::Fail, std::move(detail), std::move(remedy)};
}

Finding skipped(std::string detail) {
  return {Outcome::Skip, std::move(detail), {}};
}

void Tally::add(std::string what) {
  if (count++ == 0) first = std::move(what);
}

Finding Kit::died(bool was_ready) {
  auto report = engine_->program().wait_for(kReapTimeout);
  if (!report.has_value()) {
    engine_.reset();
    return failed("it closed its standard output and lives on",
                  "keep standard output open until standard input ends");
  }
  const std::string how = with_tail(describe(report->verdict), *engine_);
  engine_.reset();
  return failed(how, remedy_for(report->verdict, was_ready));
}

Finding Kit::late(std::string_view what, milliseconds bound) {
  const std::string text =
      with_tail(fmt::format("no {} within {} ms", what, bound.count()), *engine_);
  engine_.reset();
  return failed(text, std::string(kFlush));
}

Finding Kit::too_long() {
  engine_.reset();
  return failed("a line above 64 KiB, or more than 64 MiB at once", std::string(kSplit));
}

Finding Kit::ensure_engine() {
  if (each_anew_) engine_.reset();
  if (engine_ != nullptr) {
    // What still comes belongs to the check before.
    std::size_t lines = 0;
    while (engine_ != nullptr && lines++ < kMaxSettled &&
           listen(bounds_.settle, true).has_value()) {
    }
    if (engine_ != nullptr) return ok();
  }
  auto started = start_();
  if (!started.has_value()) {
    start_error_ = std::move(started).error();
    return failed(start_error_->message);
  }
  engine_ = *std::move(started);
  if (controls_.empty()) controls_ = engine_->program().controls();
  return wait_until_ready();
}

Finding Kit::wait_until_ready() {
  const auto by = steady_clock::now() + bounds_.ready;
  Tally before;
  while (true) {
    EngineChannel::Event event{What::Time, {}};
    if (steady_clock::now() < by) event = engine_->next_line(by, {});
    switch (event.what) {
      case What::Line:
        break;
      case What::End: {
        Finding why = died(false);
        why.detail = "it ended before it was ready: " + why.detail;
        return why;
      }
      case What::TooLong:
        return too_long();
      case What::Time:
      case What::Stopped:
        return late(before.count == 0 ? std::string("'ready'")
                                      : fmt::format("'ready', but {},", before.first),
                    bounds_.ready);
    }
    auto message = engine_protocol::parse(event.line);
    if (message.has_value()) {
      if (auto* ready = std::get_if<engine_protocol::Ready>(&*message)) {
        ready_ = std::move(*ready);
        return ok();
      }
    } else if (type_of(event.line) != "ready") {
      before.add(message.error().message());
      strays.add(message.error().message() + ", before 'ready'");
      continue;
    }
    engine_.reset();
    return failed(message.has_value() ? engine_protocol::describe(*message) + " before 'ready'"
                                      : message.error().message(),
                  R"(begin with {"type":"ready","protocol":1,"name":"...","version":"..."})");
  }
}

std::string Kit::request(std::span<const ChatMessage> messages, std::uint32_t max_tokens) const {
  ExecutionOptions options;
  options.max_tokens = max_tokens;
  return engine_protocol::execute_line(next_id_, messages, options, kSeed);
}

Exchange Kit::ask(std::string_view prompt, std::uint32_t max_tokens) {
  const ChatMessage message{"user", std::string(prompt)};
  Exchange exchange = begin(request({&message, 1}, max_tokens), max_tokens);
  finish(exchange, bounds_.answer);
  return exchange;
}

Exchange Kit::begin(std::string_view line, std::uint32_t max_tokens) {
  Exchange exchange;
  exchange.id = next_id_++;
  exchange.max_tokens = max_tokens;
  exchange.problem = say(line);
  exchange.over = exchange.problem.outcome == Outcome::Fail;
  return exchange;
}

Finding Kit::say(std::string_view line) {
  if (engine_ == nullptr) return failed("the engine had ended before");
  engine_->begin_exchange();
  switch (engine_->send(line, steady_clock::now() + bounds_.answer, {})) {
    case What::Line:
      return ok();
    case What::End:
      return died();
    default:
      engine_.reset();
      return failed(fmt::format("it read no line within {} ms", bounds_.answer.count()),
                    "read standard input on a thread of its own");
  }
}

void Kit::finish(Exchange& exchange, milliseconds time) {
  const auto by = steady_clock::now() + time;
  while (!exchange.over) {
    if (step(exchange, by)) continue;
    exchange.over = true;
    exchange.problem = late(fmt::format("'done' of id {}", exchange.id), time);
  }
}

void Kit::read_first(Exchange& exchange, milliseconds time) {
  const auto by = steady_clock::now() + time;
  while (!exchange.over && exchange.tokens == 0 && step(exchange, by)) {
  }
}

bool Kit::step(Exchange& exchange, EngineChannel::TimePoint by) {
  if (steady_clock::now() >= by) return false;  // one that talks on must not outrun it
  const EngineChannel::Event event = engine_->next_line(by, {});
  switch (event.what) {
    case What::Line:
      take(exchange, event.line);
      return true;
    case What::End:
      exchange.problem = died();
      break;
    case What::TooLong:
      exchange.problem = too_long();
      break;
    case What::Time:
    case What::Stopped:
      return false;
  }
  exchange.over = true;
  return true;
}

std::optional<Message> Kit::message_of(std::string_view line, bool& bad_end) {
  if (first_invalid_utf8(line) != line.size())
    bad_bytes.add(fmt::format("'{}'", printable(line, 80)));
  auto message = engine_protocol::parse(line);
  if (!message.has_value()) {
    const std::string type = type_of(line);
    bad_end = type == "done" || type == "error";
    (type == "done" ? bad_dones : strays).add(message.error().message());
    return std::nullopt;
  }
  if (std::holds_alternative<engine_protocol::Ready>(*message)) {
    strays.add("a second 'ready'");
    return std::nullopt;
  }
  return *std::move(message);
}

void Kit::take(Exchange& exchange, std::string_view line) {
  bool bad_end = false;
  const auto message = message_of(line, bad_end);
  if (!message.has_value()) {
    exchange.over = bad_end;
    if (bad_end) exchange.end = Exchange::End::Done;
    return;
  }
  if (id_of(*message) != exchange.id && exchange.foreign.empty())
    exchange.foreign = engine_protocol::describe(*message);
  if (std::holds_alternative<engine_protocol::Token>(*message)) {
    if (++exchange.tokens <= exchange.max_tokens + kExtraTokenFrames) return;
    exchange.end = Exchange::End::Flood;
    engine_.reset();
  } else if (const auto* done = std::get_if<engine_protocol::Done>(&*message)) {
    exchange.end = Exchange::End::Done;
    exchange.done = *done;
  } else if (const auto* error = std::get_if<engine_protocol::Failed>(&*message)) {
    exchange.end = Exchange::End::Error;
    exchange.error = *error;
  }
  exchange.over = true;
}

std::optional<Finding> Kit::listen(milliseconds time, bool dying) {
  const auto by = steady_clock::now() + time;
  while (engine_ != nullptr && steady_clock::now() < by) {
    const EngineChannel::Event event = engine_->next_line(by, {});
    if (event.what == What::Time || event.what == What::Stopped) break;
    if (event.what == What::TooLong) return too_long();
    if (event.what == What::End) {
      if (dying) return died();
      break;
    }
    bool bad_end = false;
    const auto message = message_of(event.line, bad_end);
    if (message.has_value()) return failed(engine_protocol::describe(*message));
  }
  return std::nullopt;
}

std::optional<Message> Kit::reply(Finding& problem) {
  const auto by = steady_clock::now() + bounds_.reply;
  while (steady_clock::now() < by) {
    const EngineChannel::Event event = engine_->next_line(by, {});
    if (event.what == What::Time || event.what == What::Stopped) break;
    if (event.what != What::Line) {
      problem = event.what == What::End ? died() : too_long();
      return std::nullopt;
    }
    bool bad_end = false;
    auto message = message_of(event.line, bad_end);
    if (message.has_value()) return message;
    if (bad_end) {
      problem = failed("an 'error' without its fields",
                       R"(as in {"type":"error","id":0,"code":"invalid_input","message":"..."})");
      return std::nullopt;
    }
  }
  problem = late("'error'", bounds_.reply);
  problem.remedy = "answer what cannot be read by an 'error' with the code invalid_input";
  return std::nullopt;
}

Finding Kit::end_input() {
  engine_->close_input();
  const auto report = engine_->program().wait_for(bounds_.end);
  if (!report.has_value()) {
    engine_.reset();
    return failed(
        fmt::format("it still runs {} ms after the end of its input", bounds_.end.count()),
        "leave with 0 when reading standard input comes to its end");
  }
  (void)listen(bounds_.idle, false);  // its last lines are tallied; they prove nothing here
  const Verdict& verdict = report->verdict;
  const bool well = verdict.kind == VerdictKind::Exited && verdict.exit_code == 0;
  const std::string how = describe(verdict);
  const std::string text = well ? how : with_tail(how, *engine_);
  engine_.reset();
  return well ? ok(text) : failed(text, "leave with 0, and by returning, not by a signal");
}

}  // namespace symbiont::conformance
