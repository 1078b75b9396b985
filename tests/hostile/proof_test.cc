// The proof catches a control that is missing: each test takes one away and expects the proof to
// name it.

#include "sandbox/proof.h"

#include <unistd.h>

#include <algorithm>

#include <gtest/gtest.h>

namespace symbiont::sandbox {
namespace {

bool holds(const std::vector<ProofItem>& items, std::string_view name) {
  const auto at = std::ranges::find(items, name, &ProofItem::name);
  EXPECT_NE(at, items.end()) << name << " was not looked at";
  return at != items.end() && at->holds;
}

TEST(Proof, NamesEveryControlAnUnconfinedProcessLacks) {
  ProofExpectation expectation;
  expectation.pid = ::getpid();
  expectation.own_identity = true;
  expectation.memory_cgroup = "symbiont-0-0-0";
  const auto items = collect_proof(expectation);
  ASSERT_TRUE(items.has_value()) << items.error().message();
  for (const char* name :
       {"seccomp", "no_new_privs", "identity", "namespace user", "namespace mnt", "namespace pid",
        "namespace net", "namespace ipc", "namespace uts", "namespace cgroup", "pid namespace",
        "mounts", "root", "root directory", "descriptors", "dumpable", "cgroup"}) {
    EXPECT_FALSE(holds(*items, name)) << name;
  }
  const Status status = check_proof(*items);
  ASSERT_FALSE(status.has_value());
  EXPECT_NE(status.error().message().find("seccomp: expected 2, found 0"), std::string::npos)
      << status.error().message();
}

TEST(Proof, FailsForAProcessThatIsGone) {
  ProofExpectation expectation;
  expectation.pid = 0x3fffffff;
  EXPECT_FALSE(collect_proof(expectation).has_value());
}

TEST(Proof, AnEmptyListOfComplaintsIsAPass) {
  EXPECT_TRUE(check_proof({{"seccomp", "2", "2", true}}).has_value());
}

}  // namespace
}  // namespace symbiont::sandbox
