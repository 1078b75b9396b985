#include "broker/http_request.h"

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace symbiont::broker {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kGet = "GET http://a.example/ HTTP/1.1\r\n";

TEST(HeadScannerTest, FindsTheEndHoweverTheBytesArrive) {
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string all = head + "body\n";
  HeadScanner at_once;
  EXPECT_EQ(at_once.scan(all).value(), head.size());
  HeadScanner slow;
  for (std::size_t i = 1; i < head.size(); ++i) {
    ASSERT_EQ(slow.scan(all.substr(0, i)).value(), 0U) << i;
  }
  EXPECT_EQ(slow.scan(head).value(), head.size());
}

TEST(HeadScannerTest, RefusesWhatParsersDisagreeAbout) {
  for (const auto& head : std::vector<std::string>{
           "GET / HTTP/1.1\n\n", "GET / HTTP/1.1\r\nA: b\n\r\n", "GET /\rX HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1\r\r\n\r\n", std::string("GET /\0 HTTP/1.1\r\n\r\n", 19), "\n"}) {
    EXPECT_FALSE(HeadScanner().scan(head).has_value()) << head;
  }
}

TEST(HeadScannerTest, AHeadHas16KiBAtMost) {
  const std::string start = "GET / HTTP/1.1\r\nA: ";
  const std::string full = start + std::string(kMaxHeadBytes - start.size() - 4, 'x') + "\r\n\r\n";
  EXPECT_EQ(HeadScanner().scan(full).value(), kMaxHeadBytes);
  EXPECT_EQ(HeadScanner().scan(full.substr(0, kMaxHeadBytes - 1)).value(), 0U);
  EXPECT_FALSE(HeadScanner().scan("x" + full).has_value());
}

TEST(ParseRequestTest, Connect) {
  const auto request = parse_request("CONNECT a.example:443 HTTP/1.1\r\nHost: other\r\n\r\n");
  ASSERT_TRUE(request.has_value());
  EXPECT_TRUE(request->is_tunnel());
  EXPECT_EQ(request->authority.host, "a.example");
  EXPECT_EQ(request->authority.port, 443);
}

TEST(ParseRequestTest, AbsoluteFormIsForwardedInOriginForm) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"http://a.example/x/y?q=1", "GET /x/y?q=1 HTTP/1.1\r\nHost: a.example\r\n"},
      {"HTTP://a.example:8080", "GET / HTTP/1.1\r\nHost: a.example:8080\r\n"},
      {"http://a.example?q", "GET /?q HTTP/1.1\r\nHost: a.example\r\n"},
      {"http://[::1]:81/", "GET / HTTP/1.1\r\nHost: [::1]:81\r\n"},
  };
  for (const auto& [target, start] : cases) {
    const auto request = parse_request("GET " + target + " HTTP/1.1\r\n\r\n");
    ASSERT_TRUE(request.has_value()) << target;
    EXPECT_EQ(forwarded_head(*request), start + "Connection: close\r\n\r\n");
  }
}

TEST(ParseRequestTest, HostIsTheOneOfTheUri) {
  const auto request = parse_request(std::string(kGet) + "Host: b.example\r\n\r\n");
  ASSERT_TRUE(request.has_value());
  const auto head = forwarded_head(*request);
  EXPECT_THAT(head, HasSubstr("Host: a.example\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("b.example")));
}

TEST(ParseRequestTest, HopByHopHeadersAreDropped) {
  const auto request = parse_request(std::string(kGet) +
                                     "Proxy-Authorization: Basic x\r\nProxy-Connection: y\r\n"
                                     "connection: Keep-Alive, X-Mine ,\r\nKeep-Alive: 5\r\n"
                                     "X-mine: secret\r\nTE: trailers\r\nUpgrade: h2c\r\n"
                                     "Trailer: z\r\nAccept:\t*/* \r\nX-Empty:\r\n\r\n");
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(forwarded_head(*request),
            "GET / HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nX-Empty: \r\n"
            "Connection: close\r\n\r\n");
}

TEST(ParseRequestTest, ConnectionCannotDropTheFraming) {
  const auto request = parse_request(
      "POST http://a.example/ HTTP/1.1\r\nConnection: content-length, host\r\n"
      "Content-Length: 5\r\n\r\n");
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(forwarded_head(*request),
            "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n"
            "Connection: close\r\n\r\n");
}

TEST(ParseRequestTest, Bodies) {
  const auto chunked =
      parse_request("PUT http://a/ HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n");
  ASSERT_TRUE(chunked.has_value());
  EXPECT_EQ(chunked->body.kind, BodyKind::Chunked);
  EXPECT_THAT(forwarded_head(*chunked), HasSubstr("Transfer-Encoding: chunked\r\n"));
  const auto counted = parse_request("PUT http://a/ HTTP/1.0\r\nContent-length: 007\r\n\r\n");
  ASSERT_TRUE(counted.has_value());
  EXPECT_EQ(counted->body.bytes, 7U);
  EXPECT_EQ(parse_request("PUT http://a/ HTTP/1.1\r\n\r\n")->body.kind, BodyKind::None);
}

struct Bad {
  std::string head;
  const char* reason;
};

void expect_refused(const std::vector<Bad>& cases) {
  for (const auto& [head, reason] : cases) {
    const auto request = parse_request(head);
    ASSERT_FALSE(request.has_value()) << head;
    EXPECT_EQ(request.error().code(), ErrorCode::InvalidArgument);
    EXPECT_THAT(request.error().message(), HasSubstr(reason)) << head;
  }
}

TEST(ParseRequestTest, MalformedRequestLines) {
  expect_refused({{"\r\n\r\n", "request line"},
                  {"GET\r\n\r\n", "request line"},
                  {"GET  http://a/ HTTP/1.1\r\n\r\n", "request line"},
                  {"GET http://a/ HTTP/1.1 \r\n\r\n", "request line"},
                  {"GE(T http://a/ HTTP/1.1\r\n\r\n", "method"},
                  {std::string(33, 'A') + " http://a/ HTTP/1.1\r\n\r\n", "method"},
                  {"GET http://a/ HTTP/2.0\r\n\r\n", "neither"},
                  {"GET http://a/ http/1.1\r\n\r\n", "neither"},
                  {"GET http://a/\x7f HTTP/1.1\r\n\r\n", "target"},
                  {"GET http://\xc3\xbc/ HTTP/1.1\r\n\r\n", "target"},
                  {"GET / HTTP/1.1\r\n\r\n", "a proxy takes"},
                  {"GET https://a/ HTTP/1.1\r\n\r\n", "a proxy takes"},
                  {"GET ftp://a/ HTTP/1.1\r\n\r\n", "a proxy takes"},
                  {"GET http://u:p@a/ HTTP/1.1\r\n\r\n", "host:port"},
                  {"GET http://a/#x HTTP/1.1\r\n\r\n", "fragment"},
                  {"GET http:///x HTTP/1.1\r\n\r\n", "host:port"},
                  {"CONNECT a.example HTTP/1.1\r\n\r\n", "host:port"},
                  {"CONNECT http://a:1/ HTTP/1.1\r\n\r\n", "not a port"}});
}

TEST(ParseRequestTest, MalformedHeaders) {
  const std::string get = kGet;
  expect_refused({{get + "A: b\r\n c\r\n\r\n", "folded"},
                  {get + "\tA: b\r\n\r\n", "folded"},
                  {get + "A\r\n\r\n", "no colon"},
                  {get + "A : b\r\n\r\n", "name"},
                  {get + ": b\r\n\r\n", "name"},
                  {get + "A: b\x01\r\n\r\n", "value"},
                  {get + "A: b\r\n\r\nmore", "after the request head"}});
  std::string many = get;
  for (std::size_t i = 0; i < kMaxHeaders; ++i)
    many += "A: b\r\n";
  EXPECT_TRUE(parse_request(many + "\r\n").has_value());
  expect_refused({{many + "A: b\r\n\r\n", "more than 100"}});
}

TEST(ParseRequestTest, AmbiguousFraming) {
  const std::string post = "POST http://a/ HTTP/1.1\r\n";
  expect_refused(
      {{post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "both"},
       {post + "Content-Length: 5\r\ncontent-length: 5\r\n\r\n", "twice"},
       {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "twice"},
       {post + "Host: a\r\nHost: a\r\n\r\n", "twice"},
       {post + "Content-Length: 5, 5\r\n\r\n", "not a number"},
       {post + "Content-Length: +5\r\n\r\n", "not a number"},
       {post + "Content-Length: -5\r\n\r\n", "not a number"},
       {post + "Content-Length:\r\n\r\n", "not a number"},
       {post + "Content-Length: 99999999999999999999\r\n\r\n", "not a number"},
       {post + "Transfer-Encoding: gzip, chunked\r\n\r\n", "chunked"},
       {post + "Transfer-Encoding: xchunked\r\n\r\n", "chunked"},
       {"POST http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1"},
       {"CONNECT a:1 HTTP/1.1\r\nContent-Length: 5\r\n\r\n", "no body"}});
}

}  // namespace
}  // namespace symbiont::broker
