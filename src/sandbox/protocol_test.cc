#include "sandbox/protocol.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "sandbox/plain_cbor.h"

namespace symbiont::sandbox {
namespace {

using nlohmann::json;

RequestMessage full_request() {
  RequestMessage request;
  request.id = 7;
  request.passed = {0, 1};
  request.policy = worker_policy(SandboxProfile{}, "/bin/worker", true);
  request.policy.arguments = {"a b", "\n", "\xff"};
  request.policy.nice = -20;
  request.policy.view = {{.kind = ViewKind::Scratch, .target = "/tmp", .writable = true}};
  request.policy.network = NetworkAccessMode::Full;
  return request;
}

ReplyMessage full_reply() {
  ReplyMessage reply;
  reply.reply = Reply::Ended;
  reply.id = std::numeric_limits<std::uint64_t>::max();
  reply.pid = std::numeric_limits<int>::max();
  reply.controls = {{"memory", {ControlState::Unavailable, "no cgroup", "mount it"}}};
  reply.denials = {{Denial::Kind::Process, "fork", 65535, "limit", 3}};
  reply.newest_denial = 0;
  return reply;
}

std::string packed(const json& message) {
  const std::vector<std::uint8_t> bytes = json::to_cbor(message);
  return {bytes.begin(), bytes.end()};
}

TEST(LauncherProtocol, SurvivesItsEncoding) {
  const RequestMessage request = full_request();
  const auto decoded = decode_request(encode(request));
  ASSERT_TRUE(decoded.has_value()) << decoded.error().message();
  EXPECT_EQ(decoded->id, 7U);
  EXPECT_EQ(decoded->passed, request.passed);
  EXPECT_EQ(decoded->policy.program, "/bin/worker");
  EXPECT_EQ(decoded->policy.arguments, request.policy.arguments);
  EXPECT_EQ(decoded->policy.memory_bytes, request.policy.memory_bytes);
  EXPECT_EQ(decoded->policy.nice, -20);
  EXPECT_EQ(decoded->policy.view, request.policy.view);
  EXPECT_EQ(encode(*decoded), encode(request));

  const ReplyMessage reply = full_reply();
  const auto answer = decode_reply(encode(reply));
  ASSERT_TRUE(answer.has_value()) << answer.error().message();
  EXPECT_EQ(answer->id, reply.id);
  EXPECT_EQ(answer->pid, reply.pid);
  EXPECT_EQ(answer->controls, reply.controls);
  EXPECT_EQ(answer->denials, reply.denials);
  EXPECT_EQ(encode(*answer), encode(reply));
}

TEST(LauncherProtocol, EveryKindOfMessageSurvives) {
  for (const Request kind :
       {Request::Probe, Request::Spawn, Request::Signal, Request::Usage, Request::LimitMemory}) {
    RequestMessage message;
    message.request = kind;
    EXPECT_EQ(decode_request(encode(message)).value_or(RequestMessage()).request, kind);
  }
  for (const Reply kind :
       {Reply::Probed, Reply::Started, Reply::Failed, Reply::Usage, Reply::Ended, Reply::Limited}) {
    ReplyMessage message;
    message.reply = kind;
    EXPECT_EQ(decode_reply(encode(message)).value_or(ReplyMessage()).reply, kind);
  }
}

TEST(LauncherProtocol, RefusesWhatIsMalformed) {
  for (const char* packet :
       {"", "{", "[]", "{}", R"({"request":"x","id":1})", R"({"request":0,"id":-1})"}) {
    EXPECT_FALSE(decode_request(packet).has_value()) << packet;
    EXPECT_FALSE(decode_reply(packet).has_value()) << packet;
  }
}

/// A good message with one field that is not.
struct FieldCase {
  const char* place;
  json value;
  const char* named;  ///< by the error
};

template <typename Decode>
void expect_refused(const std::string& good, const std::vector<FieldCase>& cases, Decode decode) {
  for (const FieldCase& one : cases) {
    json message = json::from_cbor(good);
    message[json::json_pointer(one.place)] = one.value;
    const auto decoded = decode(packed(message));
    ASSERT_FALSE(decoded.has_value()) << one.place << " = " << one.value;
    EXPECT_EQ(decoded.error().code(), ErrorCode::DataCorrupt);
    EXPECT_TRUE(decoded.error().message().ends_with(one.named)) << decoded.error().message();
  }
}

TEST(LauncherProtocol, RefusesFieldsOutOfRange) {
  constexpr std::int64_t kTooLargeInt = 1LL << 31U;
  constexpr std::int64_t kTooLargeUnsigned = 1LL << 32U;
  expect_refused(encode(full_request()),
                 {{"/request", 5, ": request"},
                  {"/request", -1, ": request"},
                  {"/request", 256, ": request"},
                  {"/request", "1", ": request"},
                  {"/request", 1.0, ": request"},
                  {"/request", true, ": request"},
                  {"/id", -1, ": id"},
                  {"/signal", kTooLargeInt, ": signal"},
                  {"/passed/1", -kTooLargeInt - 1, ": passed"},
                  {"/passed", {{"0", 1}}, ": passed"},
                  {"/policy", nullptr, ": policy"},
                  {"/policy/program", 1, ": policy.program"},
                  {"/policy/arguments/0", nullptr, ": policy.arguments"},
                  {"/policy/root", 3, ": policy.root"},
                  {"/policy/memory_bytes", -1, ": policy.memory_bytes"},
                  {"/policy/cpu_cores", std::numeric_limits<double>::infinity(), ".cpu_cores"},
                  {"/policy/cpu_cores", std::numeric_limits<double>::quiet_NaN(), ".cpu_cores"},
                  {"/policy/threads", kTooLargeUnsigned, ": policy.threads"},
                  {"/policy/nice", kTooLargeInt, ": policy.nice"},
                  {"/policy/strict", 1, ": policy.strict"},
                  {"/policy/network", 3, ": policy.network"},
                  {"/policy/view/0/kind", 6, ": policy.view.kind"},
                  {"/policy/view/0/more", 1, ": policy.view.a field that nobody knows"},
                  {"/more", 1, ": a field that nobody knows"}},
                 decode_request);
  expect_refused(encode(full_reply()),
                 {{"/reply", 6, ": reply"},
                  {"/pid", kTooLargeInt, ": pid"},
                  {"/wait_status", 0.5, ": wait_status"},
                  {"/controls/memory/state", 3, ": controls.state"},
                  {"/controls", json::array(), ": controls"},
                  {"/denials/0/kind", 4, ": denials.kind"},
                  {"/denials/0/port", 65536, ": denials.port"},
                  {"/denials/0/port", -1, ": denials.port"},
                  {"/newest_denial", kTooLargeInt, ": newest_denial"},
                  {"/step", 1, ": step"}},
                 decode_reply);
}

std::string repeated(std::size_t count, const std::string& piece) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i)
    out += piece;
  return out;
}

TEST(PlainCbor, IsWhatTheParserCanBeGiven) {
  const std::string nested = repeated(kMaxCborDepth, "\x81");
  EXPECT_TRUE(is_plain_cbor(nested + "\x01"));
  EXPECT_TRUE(is_plain_cbor(encode(full_request())));
  EXPECT_TRUE(is_plain_cbor(encode(full_reply())));
  const std::vector<std::pair<const char*, std::string>> cases = {
      {"nothing", ""},
      {"a level too many", "\x81" + nested + "\x01"},
      {"a stack of arrays", repeated(kMaxPacketBytes, "\x81")},
      {"a stack of maps", repeated(kMaxPacketBytes / 3, "\xa1\x61k")},
      {"a stack of strings in pieces", repeated(kMaxPacketBytes, "\x7f")},
      {"an array without a length", "\x9f\xff"},
      {"a tag", "\xc0\x01"},
      {"two items", "\x01\x01"},
      {"an array cut off", "\x82\x01"},
      {"a map cut off", "\xa1\x61k"},
      {"text cut off", "\x62k"},
      {"a number cut off", "\x19\x01"},
      {"more items than bytes", std::string("\x9b\xff\xff\xff\xff\xff\xff\xff\xff", 9)},
      {"more keys than bytes", std::string("\xbb\x80\0\0\0\0\0\0\0", 9)},
      {"text longer than memory", std::string("\x7b\xff\xff\xff\xff\xff\xff\xff\xff", 9)},
      {"an integer below all", std::string("\x3b\xff\xff\xff\xff\xff\xff\xff\xff", 9)},
      {"no kind of number", "\x1c"}};
  for (const auto& [what, packet] : cases) {
    EXPECT_FALSE(is_plain_cbor(packet)) << what;
    EXPECT_FALSE(decode_request(packet).has_value()) << what;
  }
}

}  // namespace
}  // namespace symbiont::sandbox
