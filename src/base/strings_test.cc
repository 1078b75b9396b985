#include "base/strings.h"

#include <array>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace symbiont {
namespace {

TEST(Strings, EditDistance) {
  struct Case {
    std::string_view a, b;
    std::size_t expected;
  };
  constexpr std::array kCases = {
      Case{"", "", 0},
      Case{"abc", "", 3},
      Case{"", "abc", 3},
      Case{"kitten", "sitting", 3},
      Case{"memroy", "memory", 1},
      Case{"Secure", "secure", 0},
  };
  for (const Case& c : kCases)
    EXPECT_EQ(edit_distance(c.a, c.b), c.expected) << c.a << " " << c.b;
}

TEST(Strings, ClosestMatch) {
  constexpr std::array<std::string_view, 3> kNames = {"max_memory_mb", "max_cpu_cores", "gpu"};
  EXPECT_EQ(closest_match("max_memroy_mb", kNames), "max_memory_mb");
  EXPECT_EQ(closest_match("memory_mb", kNames), "");  // four edits in nine letters
  EXPECT_EQ(closest_match("gpus", kNames), "gpu");
  EXPECT_EQ(closest_match("xyz", kNames), "");
  EXPECT_EQ(closest_match("", kNames), "");
  EXPECT_EQ(closest_match(std::string(100, 'a'), kNames), "");
}

TEST(Strings, QuotedIsSafeToPrint) {
  EXPECT_EQ(quoted("llama"), "'llama'");
  EXPECT_EQ(quoted("a\n\x1b[2J"), "'a\\x0a\\x1b[2J'");
  EXPECT_EQ(quoted("gr\xc3\xbc\xc3\x9f"), "'gr\xc3\xbc\xc3\x9f'");
  EXPECT_EQ(quoted("\xff\xc3"), "'\\xff\\xc3'");
  EXPECT_EQ(quoted("\xe2\x80\xae"), "'\\xe2\\x80\\xae'");  // right-to-left override
  EXPECT_EQ(quoted("\xc2\x9b"), "'\\xc2\\x9b'");           // C1 control sequence introducer
  EXPECT_EQ(quoted("abcdef", 3), "'abc...'");
}

}  // namespace
}  // namespace symbiont
