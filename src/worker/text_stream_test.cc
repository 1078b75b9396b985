#include "worker/text_stream.h"

#include <gtest/gtest.h>

namespace symbiont::worker {
namespace {

TEST(TextStream, HoldsBackAnUnfinishedSequence) {
  TextStream stream({});
  EXPECT_EQ(stream.push("a\xE2\x82"), "a");
  EXPECT_EQ(stream.push("\xAC!"), "\xE2\x82\xAC!");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, ReplacesWhatIsNotUtf8) {
  TextStream stream({});
  EXPECT_EQ(stream.push("\xFF"), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.push("\xE2("), "\xEF\xBF\xBD(");
  EXPECT_EQ(stream.push("\xC0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD");  // overlong
  EXPECT_EQ(stream.push("\xED\xA0\x80").size(), 9U);               // surrogate
  EXPECT_EQ(stream.push("\xF0\x9F"), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
}

TEST(TextStream, StopStringAcrossPieces) {
  TextStream stream({"###", "END"});
  EXPECT_EQ(stream.push("one #"), "one ");
  EXPECT_EQ(stream.push("# two E"), "## two ");
  EXPECT_EQ(stream.push("ND of it"), "");
  EXPECT_EQ(stream.stopped_by(), 1U);
  EXPECT_EQ(stream.push("more"), "");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, TheEarliestStopStringWins) {
  TextStream stream({"zz", "b"});
  EXPECT_EQ(stream.push("abzz"), "a");
  EXPECT_TRUE(stream.stopped());
}

TEST(TextStream, ABeginningOfAStopStringIsShownAtTheEnd) {
  TextStream stream({"###"});
  EXPECT_EQ(stream.push("x##"), "x");
  EXPECT_EQ(stream.finish(), "##");
  EXPECT_FALSE(stream.stopped());
}

}  // namespace
}  // namespace symbiont::worker
