#include "sandbox/policy.h"

#include <gtest/gtest.h>

#include "sandbox/lockdown_spec.h"

namespace symbiont::sandbox {
namespace {

TEST(WorkerPolicy, TakesEachLimitFromTheProfile) {
  SandboxProfile profile;
  profile.resources.max_memory_mb = 3;
  profile.resources.max_cpu_cores = 2.5;
  profile.resources.max_disk_mb = 7;
  profile.filesystem.allow_temp_files = true;
  profile.filesystem.max_file_size_mb = 2;
  profile.process_limits.process_priority = 5;
  profile.process_limits.allowed_syscalls = {"getrusage"};
  profile.security.strict_syscall_filtering = false;
  profile.security.disable_debugging = false;
  const Policy policy = worker_policy(profile, "/bin/worker", /*strict=*/false);
  EXPECT_EQ(policy.memory_bytes, 3U << 20U);
  EXPECT_EQ(policy.threads, 3U);
  EXPECT_EQ(policy.scratch_bytes, 7U << 20U);
  EXPECT_EQ(policy.max_file_bytes, 2U << 20U);
  EXPECT_EQ(policy.nice, 5);
  EXPECT_EQ(policy.allowed_syscalls, std::vector<std::string>{"getrusage"});
  EXPECT_FALSE(policy.kill_on_violation);
  EXPECT_FALSE(policy.undumpable);
  EXPECT_FALSE(policy.strict);
}

TEST(WorkerPolicy, WithoutTempFilesThereIsNoScratchSpace) {
  const Policy policy = worker_policy(SandboxProfile{}, "/bin/worker", true);
  EXPECT_EQ(policy.scratch_bytes, 0U);
  EXPECT_EQ(policy.max_file_bytes, 0U);
}

TEST(ThreadsFor, RoundsUpAndStaysInBounds) {
  EXPECT_EQ(threads_for(0.1), 1U);
  EXPECT_EQ(threads_for(1.0), 1U);
  EXPECT_EQ(threads_for(1.01), 2U);
  EXPECT_EQ(threads_for(1e9), 256U);
}

TEST(LockdownSpec, SurvivesItsEncoding) {
  LockdownSpec spec;
  spec.uid = 1000;
  spec.scratch_bytes = 1U << 30U;
  spec.change_identity = true;
  spec.undumpable = false;
  spec.extra_syscalls = {1, 98};
  const auto decoded = decode_lockdown_spec(encode(spec));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(*decoded, spec);
}

TEST(LockdownSpec, RefusesWhatIsMalformed) {
  for (const char* text :
       {"", "1 2 3", "1 2 3 4 5 6 7 8 9 10 11 12 x ", "1 2 3 4 5 6 7 8 9 10 11 12 13",
        "4294967296 2 3 4 5 6 7 8 9 10 11 12 13 ", "1 4294967296 3 4 5 6 7 8 9 10 11 12 13 ",
        "1 2 3 4 5 6 7 8 4294967296 10 11 12 13 ", "1 2 3 4 5 6 7 8 9 10 11 12 13 2147483648 "}) {
    EXPECT_FALSE(decode_lockdown_spec(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace symbiont::sandbox
