#include "config/key_depth.h"

#include <array>
#include <string_view>

#include <gtest/gtest.h>

namespace symbiont::config {
namespace {

TEST(KeyDepth, FindsOnlyKeys) {
  struct Case {
    std::string_view text;
    bool deep;
  };
  constexpr std::array kCases = {
      Case{"a.b.c = 1", false},
      Case{"a.b.c.d = 1", true},
      Case{"[a.b.c.d]", true},
      Case{"[[ a . b . \"c\" . d ]]", true},
      Case{"x = { a.b.c.d = 1 }", true},
      Case{"x = [1.0, 2.0, 3.0, 4.0]", false},
      Case{"x = \"a.b.c.d.e\"", false},
      Case{"\"a.b.c.d.e\" = 1", false},
      Case{"x = 1 # a.b.c.d.e", false},
      Case{"x = \"\"\"\na.b.c.d\"\n\"\"\"\ny = 1", false},
      Case{"x = '''\na.b.c.d'\n'''\ny = 1", false},
      Case{"x = \"\\\"\" # \" \na.b.c.d = 1", true},
      Case{"x = \"\"\"\"quoted\"\"\"\"\na.b.c.d = 1", true},
      Case{"x = \"\"\na.b.c.d = 1", true},
  };
  for (const Case& c : kCases)
    EXPECT_EQ(find_deep_key(c.text, 3).has_value(), c.deep) << c.text;
}

TEST(KeyDepth, TellsWhere) {
  const auto place = find_deep_key("a = 1\n[b]\nc.d.e.f = 1", 3);
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->line, 3U);
  EXPECT_EQ(place->column, 1U);
}

}  // namespace
}  // namespace symbiont::config
