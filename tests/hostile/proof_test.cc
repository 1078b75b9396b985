// The proof catches a control that is missing: each test takes one away and expects the proof to
// name it.

#include "sandbox/proof.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "sandbox/cgroup.h"
#include "sandbox/planner.h"
#include "sandbox/prepared_tree.h"
#include "sandbox/start.h"

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

/// Starts /bin/true with a plan that `sabotage` has changed, and tells why it did not begin.
using Sabotage = std::function<void(PreparedTree&)>;
std::string refusal_of(const SandboxProfile& profile,
                       const Sabotage& sabotage,
                       bool own_network = true,
                       bool grouped = true) {
  HostFacts host = find_host_facts();
  SandboxCommand command;
  command.argv = {"/bin/true"};
  auto policy = program_policy(profile, command, SandboxOptions{});
  if (!policy.has_value()) return policy.error().message();
  HostFacts for_tree = host;
  if (!grouped) for_tree.cgroups = CgroupHost{};
  auto tree = PreparedTree::make(for_tree, own_network,
                                 cgroup_name(::getpid(), process_start_time(::getpid()), 1));
  if (!tree.has_value()) return tree.error().step;
  if (!write_plan(*policy, host, *tree, false)) return "the plan does not fit";
  sabotage(*tree);
  const auto started = start_planned(*policy, host, std::move(*tree), ProgramFds{});
  if (!started.has_value()) return started.error().step;
  ::kill(started->init_pid, SIGKILL);
  ::waitpid(started->init_pid, nullptr, 0);
  return "";
}

SandboxProfile sabotaged_profile() {
  SandboxProfile profile;
  profile.resources.max_memory_mb = 64;
  profile.filesystem.read_paths = {"/usr"};
  profile.filesystem.denied_paths = {"/usr/sbin"};  // a cover, which older kernels make otherwise
  profile.filesystem.allow_temp_files = true;
  profile.filesystem.max_file_size_mb = 7;
  return profile;
}

/// The plan's copy of the limits; the launcher lays it out as constant for the child.
LockdownSpec& limits_in(PreparedTree& tree) {
  return const_cast<LockdownSpec&>(*tree.plan().spec);  // NOLINT: what this test is about
}

PlannedEntry& entry_in(PreparedTree& tree, std::string_view target) {
  const auto at = std::ranges::find(tree.plan().view, target, &PlannedEntry::target);
  if (at == tree.plan().view.end()) std::abort();
  return *at;
}

TEST(ProgramProof, AProgramConfinedAsAskedBegins) {
  EXPECT_EQ(refusal_of(sabotaged_profile(), [](PreparedTree&) {}), "");
}

TEST(ProgramProof, AProgramThatLacksAControlNeverBegins) {
  struct Case {
    const char* control;
    Sabotage sabotage;
    bool own_network = true;
    bool grouped = true;
  };
  const auto nothing = [](PreparedTree&) {};
  const Case cases[] = {
      {"identity", [](PreparedTree& tree) { limits_in(tree).change_identity = false; }},
      {"file size", [](PreparedTree& tree) { limits_in(tree).max_file_bytes = 0; }},
      {"read-only mounts", [](PreparedTree& tree) { entry_in(tree, "/usr").writable = true; }},
      {"mounts",
       [](PreparedTree& tree) { entry_in(tree, "/usr").target = tree.arena().put_text("/other"); }},
      {"scratch",
       [](PreparedTree& tree) {
         tree.plan().scratch_data = tree.arena().put_text("size=1g,nr_inodes=1024,mode=1777");
       }},
      {"namespace net", nothing, false},
      {"cgroup", nothing, true, false},
  };
  const HostFacts host = find_host_facts();
  for (const Case& c : cases) {
    if (std::string_view(c.control) == "identity" && !host.privileged) continue;
    if (std::string_view(c.control) == "cgroup" && !host.cgroups.has("memory")) continue;
    const std::string refusal =
        refusal_of(sabotaged_profile(), c.sabotage, c.own_network, c.grouped);
    EXPECT_NE(refusal.find(std::string(c.control) + ": expected"), std::string::npos)
        << c.control << ": " << refusal;
  }
}

/// What is shown was checked when the view was made. Also run where Landlock's rules stand alone.
TEST(ProgramStart, ALinkInThePlaceOfWhatWasCheckedIsNotFollowed) {
  namespace fs = std::filesystem;
  std::string pattern = "/var/tmp/symbiont-late-link-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const fs::path directory = pattern;
  const fs::path shown = directory / "shown";
  fs::permissions(directory, fs::perms(0755));
  fs::create_directories(shown);
  fs::create_directories(directory / "vault");
  SandboxProfile profile;
  profile.filesystem.read_paths = {"/usr", shown};
  EXPECT_EQ(refusal_of(profile, [](PreparedTree&) {}), "");
  EXPECT_NE(refusal_of(profile,
                       [&](PreparedTree&) {
                         fs::remove(shown);
                         fs::create_directory_symlink(directory / "vault", shown);
                       }),
            "");
  fs::remove_all(directory);
}

TEST(Proof, AnEmptyListOfComplaintsIsAPass) {
  EXPECT_TRUE(check_proof({{"seccomp", "2", "2", true}}).has_value());
}

}  // namespace
}  // namespace symbiont::sandbox
