// main() of every test program: a run in which any test was skipped exits 77 (ctest: skipped), or
// fails when SYMBIONT_REQUIRE=all says that this machine is meant to run everything.
#include <cstdlib>
#include <iostream>
#include <string_view>

#include <gtest/gtest.h>

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  const int failed = RUN_ALL_TESTS();
  const auto& unit = *::testing::UnitTest::GetInstance();
  if (failed != 0 || unit.skipped_test_count() == 0) return failed;
  const char* require =
      std::getenv("SYMBIONT_REQUIRE");  // NOLINT(concurrency-mt-unsafe): before any thread
  if (require != nullptr && std::string_view(require) == "all") {
    std::cerr << "skipped tests count as failures: SYMBIONT_REQUIRE=all\n";
    return 1;
  }
  return 77;
}
