#include "api/http.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "api/request_reader.h"

namespace symbiont::api {
namespace {

TEST(PercentDecodeTest, DecodesOrRefuses) {
  std::string text;
  EXPECT_TRUE(percent_decode("a%2Fb%20c", text));
  EXPECT_EQ(text, "a/b c");
  for (const std::string_view bad : {"%", "%2", "%zz", "%00", "a%"})
    EXPECT_FALSE(percent_decode(bad, text)) << bad;
}

TEST(ResponseHeadTest, NoHeaderCanBeSmuggledIn) {
  const Response response{.headers = {{"x-request-id", "a\r\nSet-Cookie: b"}}};
  const std::string head = response_head(response, 0, true);
  EXPECT_EQ(head.find("Set-Cookie"), std::string::npos);
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_NE(head.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
}

/// Feeds `text` in pieces of `step` bytes, as a connection would.
void feed(RequestReader& reader, std::string text, std::size_t step) {
  std::string input;
  while (!reader.is_done() && !reader.error().has_value()) {
    if (const std::size_t used = reader.feed(input); used > 0) {
      input.erase(0, used);
      continue;
    }
    if (text.empty()) return;
    input += text.substr(0, step);
    text.erase(0, std::min(step, text.size()));
  }
}

TEST(RequestReaderTest, ReadsPiecesOfAnySize) {
  for (const std::size_t step : {1U, 7U, 1000U}) {
    for (const std::string_view body :
         {"Content-Length: 5\r\n\r\nhello",
          "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"}) {
      RequestReader reader(100);
      feed(reader, "POST /v1/x?a=b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n" + std::string(body), step);
      ASSERT_TRUE(reader.is_done()) << step << (reader.error() ? reader.error()->message : "");
      const auto head = reader.take_head();
      ASSERT_TRUE(head.has_value());
      EXPECT_EQ(head->method, Method::Post);
      EXPECT_EQ(head->path, "/v1/x");
      EXPECT_EQ(head->query, "a=b");
      EXPECT_EQ(head->header("x-a"), "1");
      EXPECT_EQ(reader.take_body(), "hello");
      EXPECT_TRUE(reader.keeps_alive());
    }
  }
}

TEST(RequestReaderTest, TheHeadComesFirst) {
  RequestReader reader(10);
  const std::string text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
  const std::size_t used = reader.feed(text);
  EXPECT_TRUE(reader.has_head());
  EXPECT_FALSE(reader.is_done());
  EXPECT_EQ(text.substr(used), "abc");
}

TEST(RequestReaderTest, RefusesWhatIsTooLarge) {
  RequestReader body(4);
  feed(body, "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 1000);
  ASSERT_TRUE(body.error().has_value());
  EXPECT_EQ(body.error()->kind, ErrorKind::TooLarge);
  RequestReader chunks(4);
  feed(chunks, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 10);
  ASSERT_TRUE(chunks.error().has_value());
  EXPECT_EQ(chunks.error()->kind, ErrorKind::TooLarge);
  RequestReader head(4);
  feed(head, "GET / HTTP/1.1\r\nX: " + std::string(kMaxHeadBytes, 'x') + "\r\n\r\n", 4096);
  ASSERT_TRUE(head.error().has_value());
  EXPECT_EQ(head.error()->kind, ErrorKind::HeadTooLarge);
}

TEST(RequestReaderTest, RefusesWhatTwoServersCouldReadDifferently) {
  for (const std::string_view text :
       {"GARBAGE\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET /\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "GET / HTTP/1.1\r\nBad Header: x\r\n\r\n",
        "GET / HTTP/1.1\r\n: x\r\n\r\n"}) {
    RequestReader reader(100);
    feed(reader, std::string(text), 1000);
    EXPECT_TRUE(reader.error().has_value()) << text;
  }
}

TEST(RequestReaderTest, ATargetIsAPath) {
  RequestReader reader(100);
  feed(reader, "GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n", 1000);
  EXPECT_FALSE(reader.take_head().has_value());
}

}  // namespace
}  // namespace symbiont::api
