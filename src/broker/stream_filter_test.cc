#include "broker/stream_filter.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace symbiont::broker {
namespace {

// Feeds pieces of `step` bytes; what passed, or "error".
std::string pass(StreamFilter& filter, const std::string& bytes, std::size_t step) {
  std::string passed;
  for (std::size_t at = 0; at < bytes.size() && !filter.ended(); at += step) {
    const auto piece = bytes.substr(at, step);
    const auto taken = filter.take(piece);
    if (!taken.has_value()) return "error";
    passed += piece.substr(0, *taken);
  }
  return passed;
}

TEST(BodyFilterTest, PassesExactlyTheBody) {
  const std::string chunked = "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n";
  const std::string next = "GET http://evil/ HTTP/1.1\r\n\r\n";
  for (std::size_t step = 1; step < 40; ++step) {
    BodyFilter none({});
    EXPECT_TRUE(none.ended());
    BodyFilter counted({.kind = BodyKind::Length, .bytes = 5});
    EXPECT_EQ(pass(counted, "hello" + next, step), "hello");
    EXPECT_TRUE(counted.ended());
    BodyFilter chunks({.kind = BodyKind::Chunked});
    EXPECT_EQ(pass(chunks, chunked + next, step), chunked);
    EXPECT_TRUE(chunks.ended());
  }
}

TEST(BodyFilterTest, AnUnfinishedBodyHasNotEnded) {
  BodyFilter counted({.kind = BodyKind::Length, .bytes = 5});
  EXPECT_EQ(pass(counted, "hell", 2), "hell");
  EXPECT_FALSE(counted.ended());
}

TEST(BodyFilterTest, MalformedChunksAreRefused) {
  for (const char* body : {"\r\n", "5;ext=1\r\nhello\r\n", "5\nhello", "5\r\nhelloX", "5 \r\n",
                           "0x5\r\n", "-1\r\n", "5\r\nhello\r\r\n", "0\r\nTrailer: x\r\n\r\n",
                           "1234567812345678\r\n", "g\r\n", "0\r\n\rX"}) {
    BodyFilter chunks({.kind = BodyKind::Chunked});
    EXPECT_EQ(pass(chunks, body, 1), "error") << body;
  }
}

TEST(TlsFilterTest, AClientHelloPasses) {
  const std::string hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  for (std::size_t step = 1; step < 12; ++step) {
    TlsFilter filter;
    EXPECT_EQ(pass(filter, hello, step), hello);
    EXPECT_TRUE(filter.checked());
  }
  TlsFilter filter;
  EXPECT_EQ(pass(filter, hello.substr(0, 5), 1), hello.substr(0, 5));
  EXPECT_FALSE(filter.checked());
}

TEST(TlsFilterTest, PlaintextDoesNot) {
  for (const auto& bytes :
       std::vector<std::string>{"GET / HTTP/1.1\r\n", "\x16\x02", "\x16\x03\x09", "SSH-2.0",
                                std::string("\x16\x03\x01\x00\x05\x02", 6), std::string(1, '\0')}) {
    TlsFilter filter;
    EXPECT_EQ(pass(filter, bytes, 1), "error");
    EXPECT_FALSE(filter.checked());
  }
}

}  // namespace
}  // namespace symbiont::broker
