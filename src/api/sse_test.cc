#include "api/sse.h"

#include <gtest/gtest.h>

namespace symbiont::api {
namespace {

TEST(SseTest, OneEvent) {
  std::string out;
  append_event(out, "{}");
  append_event(out, "x", "delta");
  EXPECT_EQ(out, "data: {}\n\nevent: delta\ndata: x\n\n");
}

TEST(SseTest, NoLineBreakEndsAnEvent) {
  std::string out;
  append_event(out, "a\nb\r\nc\rd");
  EXPECT_EQ(out, "data: a\ndata: b\ndata: c\ndata: d\n\n");
}

}  // namespace
}  // namespace symbiont::api
