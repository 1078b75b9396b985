#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <variant>

#include <gtest/gtest.h>

#include "api/keys.h"
#include "api/middlewares/authenticate.h"
#include "api/middlewares/cors.h"
#include "api/middlewares/host_check.h"
#include "api/middlewares/quota.h"
#include "api/middlewares/request_id.h"

namespace symbiont::api {
namespace {

using namespace std::chrono_literals;

Request with_headers(std::vector<Header> headers) {
  Request request;
  request.method = Method::Post;
  request.headers = std::move(headers);
  return request;
}

TEST(HostNameTest, SplitsOrRefuses) {
  EXPECT_EQ(host_name("LocalHost.:8080"), "localhost");
  EXPECT_EQ(host_name("[::1]:8080"), "::1");
  EXPECT_EQ(host_name("[::1]"), "::1");
  EXPECT_EQ(host_name("a.example"), "a.example");
  for (const std::string_view bad :
       {"", ".", ":80", "a:", "a:b", "a:123456", "[::1", "[x]", "[::1]x", "a:80:80"})
    EXPECT_EQ(host_name(bad), std::nullopt) << bad;
}

TEST(HostCheckTest, OnlyKnownNames) {
  const HostCheck check({"llm.example", "fd00::1"}, false);
  const auto passes = [&](const char* host) {
    return !check.check(with_headers({{"Host", host}})).has_value();
  };
  for (const char* good : {"localhost", "localhost:8080", "app.localhost", "127.0.0.1:1",
                           "127.1.2.3", "[::1]:9", "LLM.Example:443", "[fd00::1]"})
    EXPECT_TRUE(passes(good)) << good;
  for (const char* bad : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "",
                          "192.168.1.1", "notlocalhost", "127.0.0.1@evil.example", "[fd00::2]"})
    EXPECT_FALSE(passes(bad)) << bad;
  EXPECT_TRUE(check.check(with_headers({})).has_value());
  EXPECT_TRUE(
      check.check(with_headers({{"Host", "localhost"}, {"Host", "evil.example"}})).has_value());
}

TEST(HostCheckTest, AnyAddressTakesAddressesButNoNames) {
  const HostCheck check({}, true);
  EXPECT_FALSE(check.check(with_headers({{"Host", "192.168.1.1:8080"}})).has_value());
  EXPECT_TRUE(check.check(with_headers({{"Host", "evil.example"}})).has_value());
}

TEST(HostCheckTest, UnixSocketsMayMakeItUp) {
  const HostCheck check({}, false);
  Request request = with_headers({{"Host", "anything"}});
  request.peer.is_unix = true;
  EXPECT_FALSE(check.check(request).has_value());
}

TEST(CorsTest, ForeignPagesAreRefusedNotOnlyIgnored) {
  const Cors cors({"https://app.example"});
  const auto origin = [](const char* value) {
    return with_headers({{"Host", "127.0.0.1:8080"}, {"Origin", value}});
  };
  EXPECT_TRUE(std::holds_alternative<ApiError>(cors.check(origin("https://evil.example"))));
  EXPECT_TRUE(std::holds_alternative<ApiError>(cors.check(origin("null"))));
  EXPECT_TRUE(std::holds_alternative<ApiError>(cors.check(origin("https://app.example.evil"))));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(cors.check(origin("https://app.example"))));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(cors.check(origin("http://127.0.0.1:8080"))));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(cors.check(with_headers({}))));
  EXPECT_TRUE(cors.headers_for(origin("https://evil.example")).empty());
  EXPECT_EQ(cors.headers_for(origin("https://app.example")).front().value, "https://app.example");
}

TEST(CorsTest, AnswersPreflights) {
  const Cors cors({"https://app.example"});
  Request request = with_headers({{"Host", "h"},
                                  {"Origin", "https://app.example"},
                                  {"Access-Control-Request-Method", "POST"}});
  request.method = Method::Options;
  const auto checked = cors.check(request);
  ASSERT_TRUE(std::holds_alternative<Response>(checked));
  EXPECT_EQ(std::get<Response>(checked).status, 204);
}

TEST(RequestIdTest, TakesPlainOnesOnly) {
  EXPECT_EQ(request_id_for(with_headers({{"X-Request-Id", "abc-1.2_3"}})), "abc-1.2_3");
  for (const std::string& bad :
       {std::string("a b"), std::string("a\"b"), std::string(65, 'a'), std::string("\xc3\xa4")}) {
    EXPECT_TRUE(request_id_for(with_headers({{"X-Request-Id", bad}})).starts_with("req-"));
  }
  EXPECT_NE(request_id_for(with_headers({})), request_id_for(with_headers({})));
}

TEST(QuotaTest, RequestsPerMinute) {
  Quotas quotas({.requests_per_minute = 2});
  const auto start = Quotas::Clock::time_point() + 1h;
  EXPECT_FALSE(quotas.take_request("ann", start).has_value());
  EXPECT_FALSE(quotas.take_request("ann", start).has_value());
  const auto refused = quotas.take_request("ann", start);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->kind, ErrorKind::RateLimited);
  EXPECT_EQ(refused->retry_after_seconds, 30);
  EXPECT_FALSE(quotas.take_request("bob", start).has_value());
  EXPECT_FALSE(quotas.take_request("ann", start + 30s).has_value());
  EXPECT_TRUE(quotas.take_request("ann", start + 30s).has_value());
}

TEST(QuotaTest, TokensAreADebt) {
  Quotas quotas({.tokens_per_minute = 60});
  const auto start = Quotas::Clock::time_point() + 1h;
  EXPECT_FALSE(quotas.take_request("ann", start).has_value());
  quotas.spend_tokens("ann", 100, start);
  const auto refused = quotas.take_request("ann", start);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->retry_after_seconds, 41);
  EXPECT_FALSE(quotas.take_request("ann", start + 41s).has_value());
}

class AuthenticateTest : public ::testing::Test {
 protected:
  AuthenticateTest() {
    std::string name = ::testing::TempDir() + "authXXXXXX";
    folder_ = ::mkdtemp(name.data());
    rules_.keys_file = folder_ / "keys.json";
    auto made = add_key(rules_.keys_file, "ann", Scopes().with(Scope::Inference), {});
    EXPECT_TRUE(made.has_value());
    if (made.has_value()) key_ = made->key;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
  IdentityRules rules_;
  std::string key_;
};

TEST_F(AuthenticateTest, AKeyInEitherHeader) {
  Authenticator authenticator(rules_);
  for (const Header& header :
       {Header{"Authorization", "Bearer " + key_}, Header{"authorization", "bearer " + key_},
        Header{"X-API-Key", key_}}) {
    const auto identity = authenticator.identify(with_headers({header}), 0);
    ASSERT_TRUE(identity.has_value()) << header.value;
    EXPECT_EQ(identity->agent, "ann");
    EXPECT_FALSE(check_scope(*identity, Scope::Inference).has_value());
    EXPECT_TRUE(check_scope(*identity, Scope::Admin).has_value());
  }
}

TEST_F(AuthenticateTest, NothingElseGetsIn) {
  Authenticator authenticator(rules_);
  for (const std::vector<Header>& headers :
       {std::vector<Header>{},
        {{"Authorization", key_}},
        {{"Authorization", "Basic " + key_}},
        {{"Authorization", "Bearer "}},
        {{"Authorization", "Bearer " + key_ + " "}},
        {{"X-API-Key", "sym-x"}},
        {{"Authorization", "Bearer " + key_}, {"X-API-Key", "sym-x"}},
        {{"Authorization", "Bearer " + key_}, {"Authorization", "Bearer " + key_}}}) {
    const auto identity = authenticator.identify(with_headers(headers), 0);
    ASSERT_FALSE(identity.has_value());
    EXPECT_EQ(identity.error().kind, ErrorKind::Unauthenticated);
  }
}

TEST_F(AuthenticateTest, WithoutKeysEveryLocalCallerIsTheDefaultAgent) {
  rules_.keys_file.clear();
  rules_.default_agent = "local";
  Authenticator authenticator(rules_);
  const auto identity = authenticator.identify(with_headers({{"Authorization", "Bearer any"}}), 0);
  ASSERT_TRUE(identity.has_value());
  EXPECT_EQ(identity->agent, "local");
  EXPECT_TRUE(check_scope(*identity, Scope::Admin).has_value());
}

TEST_F(AuthenticateTest, AUnixPeerIsItsUser) {
  rules_.unix_agents[4242] = "builder";
  Authenticator authenticator(rules_);
  Request request = with_headers({});
  request.peer = {.is_unix = true, .uid = 4242, .address = "unix:4242"};
  EXPECT_EQ(authenticator.identify(request, 0)->agent, "builder");
  request.peer.uid = 4243;
  EXPECT_EQ(authenticator.identify(request, 0)->agent, "uid:4243");
  EXPECT_FALSE(authenticator.identify(request, 0)->scopes.has(Scope::Admin));
  request.peer.uid = ::geteuid();
  EXPECT_TRUE(authenticator.identify(request, 0)->scopes.has(Scope::Admin));
  request.headers = {{"X-API-Key", "sym-wrong"}};
  EXPECT_FALSE(authenticator.identify(request, 0).has_value());
}

}  // namespace
}  // namespace symbiont::api
