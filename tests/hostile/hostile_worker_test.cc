// Each attack of hostile_worker succeeds unconfined and ends with the expected verdict when
// confined.

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/file.h"
#include "sandbox/cgroup.h"
#include "sandbox/landlock.h"
#include "sandbox/launcher_connection.h"
#include "sandbox/sandbox.h"
#include "sandbox/start.h"

namespace symbiont::sandbox {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

std::string hostile_program() {
  return std::getenv("SYMBIONT_HOSTILE_WORKER");  // NOLINT(concurrency-mt-unsafe): set by ctest
}

/// Set by ctest for a host without namespaces, where a strict start is refused.
bool is_strict() {
  return std::getenv("SYMBIONT_DEGRADED") == nullptr;  // NOLINT(concurrency-mt-unsafe)
}

Policy policy_for(const std::string& attack) {
  SandboxProfile profile;
  profile.resources.max_memory_mb = 64;
  Policy policy = worker_policy(profile, hostile_program(), is_strict());
  policy.arguments = {attack};
  return policy;
}

/// A confined hostile program, held before its attack until go().
struct Held {
  std::unique_ptr<SandboxedProcess> process;
  UniqueFd socket;

  std::string wait_locked() const {
    std::array<char, 256> text{};
    pollfd polled{socket.get(), POLLIN, 0};
    if (::poll(&polled, 1, 5000) != 1) return "no answer in 5 s";
    const ssize_t count = ::read(socket.get(), text.data(), text.size());
    return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
  }
  void go() const { ASSERT_EQ(::write(socket.get(), "g", 1), 1); }
  Verdict end() const {
    const auto verdict = process->wait_until(steady_clock::now() + seconds(30));
    return verdict.value_or(Verdict{});
  }
};

Held start(Launcher& launcher, const Policy& policy) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  Held held;
  held.socket.reset(ends[0]);
  auto process = launcher.spawn(policy, UniqueFd(ends[1]));
  EXPECT_TRUE(process.has_value()) << process.error().message();
  if (process.has_value()) held.process = std::move(*process);
  return held;
}

/// Exit code of the attack without any confinement; -1 when it did not exit.
int run_unconfined(const std::string& attack) {
  const auto pid = spawn_program(hostile_program(), {attack, "--unconfined"}, -1);
  if (!pid.has_value()) return -1;
  int status = 0;
  if (::waitpid(*pid, &status, 0) != *pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

enum class Unconfined : std::uint8_t {
  Works,      // for anyone
  NeedsHost,  // for anyone but in a container
  NeedsRoot,  // refused to an ordinary user by the host already
  Varies,     // by kernel and host
};

struct Case {
  const char* attack;
  VerdictKind verdict = VerdictKind::SyscallDenied;
  Unconfined unconfined = Unconfined::Works;
};

void PrintTo(const Case& test_case, std::ostream* out) {
  *out << test_case.attack;
}

class Attack : public testing::TestWithParam<Case> {};

TEST_P(Attack, EndsWithItsVerdict) {
  const Case& test_case = GetParam();
  const bool on_host = test_case.unconfined == Unconfined::NeedsHost ||
                       (test_case.unconfined == Unconfined::NeedsRoot && ::geteuid() == 0);
  const bool works = test_case.unconfined == Unconfined::Works || (on_host && is_strict());
  if (works) {
    EXPECT_EQ(run_unconfined(test_case.attack), 0)
        << "the attack proves nothing: it fails unconfined too";
  }
  const auto launcher = make_launcher();
  const Held held = start(*launcher, policy_for(test_case.attack));
  ASSERT_TRUE(held.process);
  ASSERT_EQ(held.wait_locked(), "locked");
  const Status proof = held.process->prove();
  EXPECT_TRUE(proof.has_value()) << proof.error().message();
  held.go();
  const Verdict verdict = held.end();
  EXPECT_EQ(verdict.kind, test_case.verdict) << "exit " << verdict.exit_code << " signal "
                                             << verdict.signal << " peak " << verdict.peak_bytes;
  // While a model loads, fstat(2) of glibc leaves the door open; only an empty root has nothing to
  // ask for.
  if (!is_strict() && std::string_view(test_case.attack) == "stat_root") return;
  if (verdict.kind == VerdictKind::Exited) {
    EXPECT_EQ(verdict.exit_code, 1) << "the attack succeeded";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Filesystem,
    Attack,
    testing::Values(Case{"open_passwd"},
                    Case{"open_proc"},
                    Case{"openat2"},
                    Case{"write_file"},
                    Case{"stat_root", VerdictKind::Exited},
                    Case{"list_root"},
                    Case{"inherited_fds", VerdictKind::Exited, Unconfined::Varies},
                    Case{"environment", VerdictKind::Exited, Unconfined::Varies},
                    Case{"chroot", VerdictKind::SyscallDenied, Unconfined::NeedsRoot},
                    Case{"mount_tmpfs", VerdictKind::SyscallDenied, Unconfined::Varies},
                    Case{"remount_root", VerdictKind::SyscallDenied, Unconfined::Varies}));
INSTANTIATE_TEST_SUITE_P(
    Network,
    Attack,
    testing::Values(Case{"tcp"},
                    Case{"tcp6"},
                    Case{"mptcp", VerdictKind::SyscallDenied, Unconfined::Varies},
                    Case{"udp"},
                    Case{"netlink"},
                    Case{"vsock", VerdictKind::SyscallDenied, Unconfined::Varies},
                    Case{"unix"},
                    Case{"socketpair"},
                    Case{"io_uring", VerdictKind::SyscallDenied, Unconfined::Varies}));
INSTANTIATE_TEST_SUITE_P(
    Processes,
    Attack,
    testing::Values(Case{"fork"},
                    Case{"vfork"},
                    Case{"exec"},
                    Case{"clone3", VerdictKind::Exited, Unconfined::NeedsHost},
                    Case{"unshare_user", VerdictKind::SyscallDenied, Unconfined::Varies},
                    Case{"setns", VerdictKind::SyscallDenied, Unconfined::NeedsHost},
                    Case{"ptrace"},
                    Case{"process_vm_readv"},
                    Case{"kill_parent"},
                    Case{"pidfd_open"},
                    Case{"setuid_root", VerdictKind::SyscallDenied, Unconfined::NeedsRoot}));
INSTANTIATE_TEST_SUITE_P(
    Kernel,
    Attack,
    testing::Values(Case{"bpf", VerdictKind::SyscallDenied, Unconfined::NeedsRoot},
                    Case{"perf"},
                    Case{"userfaultfd", VerdictKind::SyscallDenied, Unconfined::NeedsRoot},
                    Case{"keyctl", VerdictKind::SyscallDenied, Unconfined::Varies},
                    Case{"shmget", VerdictKind::SyscallDenied, Unconfined::Varies},
                    Case{"memfd"},
                    Case{"reboot", VerdictKind::SyscallDenied, Unconfined::NeedsRoot},
                    Case{"tiocsti"},
                    Case{"rwx_memory"},
                    Case{"make_executable"},
                    Case{"int80", VerdictKind::SyscallDenied, Unconfined::Varies},
                    Case{"raise_limit"},
                    Case{"affinity"},
                    Case{"dumpable", VerdictKind::Exited}));
TEST(Confinement, MemoryBeyondTheLimitIsNotToBeHad) {
  EXPECT_EQ(run_unconfined("memory_80"), 0);
  const auto launcher = make_launcher();
  const Held held = start(*launcher, policy_for("memory_80"));
  ASSERT_EQ(held.wait_locked(), "locked");
  held.go();
  const Verdict verdict = held.end();
  EXPECT_EQ(verdict.limit_bytes, 64U << 20U);
  if (held.process->controls().at("memory").detail.starts_with("cgroup")) {
    EXPECT_EQ(verdict.kind, VerdictKind::MemoryLimit);
  } else {  // RLIMIT_DATA: the allocation fails, and the attack with it
    EXPECT_EQ(verdict.kind, VerdictKind::Exited);
    EXPECT_EQ(verdict.exit_code, 1);
  }
}

/// memory_30 after the limits of a tree that may have 64 MiB were set to `limits`, one by one.
Verdict grow_under(const std::vector<std::uint64_t>& limits) {
  const auto launcher = make_launcher();
  const Held held = start(*launcher, policy_for("memory_30"));
  EXPECT_EQ(held.wait_locked(), "locked");
  for (const std::uint64_t limit : limits) {
    const Status set = held.process->limit_memory(limit);
    EXPECT_TRUE(set.has_value()) << set.error().message();
  }
  held.go();
  return held.end();
}

TEST(Confinement, AnIdleTreeIsHeldToLessAndGetsItsOwnLimitBack) {
  constexpr std::uint64_t kHeld = 16U << 20U;
  constexpr std::uint64_t kAboveItsOwn = 1U << 30U;
  const bool has_group = find_cgroups().has("memory");
  for (const auto& limits :
       {std::vector<std::uint64_t>{}, {kHeld, 0}, {kHeld, kAboveItsOwn}, {kHeld, 0, kHeld}}) {
    const Verdict verdict = grow_under(limits);
    const bool is_held = has_group && !limits.empty() && limits.back() == kHeld;
    EXPECT_EQ(verdict.kind, is_held ? VerdictKind::MemoryLimit : VerdictKind::Exited);
    EXPECT_EQ(verdict.limit_bytes, is_held ? kHeld : 64U << 20U);
    if (!is_held) {
      EXPECT_EQ(verdict.exit_code, 0) << "it may have that much";
    }
  }
}

TEST(Confinement, NoLimitIsSetAboveTheProfiles) {
  const auto launcher = make_launcher();
  const Held held = start(*launcher, policy_for("memory_80"));
  ASSERT_EQ(held.wait_locked(), "locked");
  ASSERT_TRUE(held.process->limit_memory(std::uint64_t{1} << 40U).has_value());
  held.go();
  const Verdict verdict = held.end();
  EXPECT_TRUE(verdict.kind == VerdictKind::MemoryLimit || verdict.exit_code == 1);
  EXPECT_TRUE(held.process->limit_memory(1).has_value()) << "it has ended: nothing to hold";
}

TEST(Confinement, LeavesAnHonestProgramAlone) {
  const auto launcher = make_launcher();
  const Held held = start(*launcher, policy_for("nothing"));
  ASSERT_TRUE(held.process);
  ASSERT_EQ(held.wait_locked(), "locked");
  held.go();
  EXPECT_EQ(held.end().kind, VerdictKind::Exited);
}

TEST(Confinement, SaysWhichSignalEndedACrash) {
  const auto launcher = make_launcher();
  Policy policy = policy_for("crash");
  const Held held = start(*launcher, policy);
  ASSERT_EQ(held.wait_locked(), "locked");
  held.go();
  const Verdict verdict = held.end();
  EXPECT_EQ(verdict.kind, VerdictKind::Signaled);
  EXPECT_EQ(verdict.signal, SIGSEGV);
}

TEST(Confinement, CountsProcessorTime) {
  const auto launcher = make_launcher();
  Policy policy = policy_for("burn");
  policy.cpu_seconds = 1;
  policy.nice = 0;  // or a busy host lets it wait for that second
  policy.allowed_syscalls = {"getrusage"};
  const Held held = start(*launcher, policy);
  ASSERT_EQ(held.wait_locked(), "locked");
  held.go();
  const Verdict verdict = held.end();
  EXPECT_TRUE(verdict.kind == VerdictKind::CpuTimeLimit || verdict.signal == SIGKILL)
      << static_cast<int>(verdict.kind);
}

TEST(Confinement, KillEndsTheTreeAndKeepsTheReason) {
  const auto launcher = make_launcher();
  const Held held = start(*launcher, policy_for("hang"));
  ASSERT_EQ(held.wait_locked(), "locked");
  held.go();
  EXPECT_FALSE(held.process->wait_until(steady_clock::now() + milliseconds(50)).has_value());
  held.process->kill(VerdictKind::TimeLimit);
  EXPECT_EQ(held.end().kind, VerdictKind::TimeLimit);
}

TEST(Confinement, InferencePhaseForbidsThreadsAndDescriptors) {
  for (const char* attack : {"fork", "open_passwd", "tcp", "memfd"}) {
    const auto launcher = make_launcher();
    Policy policy = policy_for(attack);
    policy.arguments.emplace_back("--inference");
    const Held held = start(*launcher, policy);
    ASSERT_EQ(held.wait_locked(), "locked");
    held.go();
    EXPECT_EQ(held.end().kind, VerdictKind::SyscallDenied) << attack;
  }
}

TEST(Confinement, NotStrictFailsTheCallInstead) {
  const auto launcher = make_launcher();
  Policy policy = policy_for("tcp");
  policy.kill_on_violation = false;
  const Held held = start(*launcher, policy);
  ASSERT_EQ(held.wait_locked(), "locked");
  held.go();
  const Verdict verdict = held.end();
  EXPECT_EQ(verdict.kind, VerdictKind::Exited);
  EXPECT_EQ(verdict.exit_code, 1);
}

// The layers behind the first one: the layer in front is opened on purpose, so that only the one
// behind can refuse.

TEST(SecondLine, LandlockRefusesWhatTheFilterLetsThrough) {
  EXPECT_EQ(run_unconfined("list_root"), 0);
  const auto launcher = make_launcher();
  Policy policy = policy_for("list_root");
  policy.allowed_syscalls = {"openat"};
  const Held held = start(*launcher, policy);
  ASSERT_EQ(held.wait_locked(), "locked");
  held.go();
  const Verdict verdict = held.end();
  EXPECT_EQ(verdict.kind, VerdictKind::Exited);
  EXPECT_EQ(verdict.exit_code, 1) << "its own empty root could be opened";
}

// As root the empty root's owner refuses too, so that only this one tells that Landlock is gone.
TEST(SecondLine, LandlockRefusesPortsThatTheFilterLetsThrough) {
  constexpr int kFirstWithPorts = 4;
  if (landlock_abi() < kFirstWithPorts) GTEST_SKIP() << "this kernel's Landlock knows no ports";
  EXPECT_EQ(run_unconfined("take_port"), 0);
  const auto launcher = make_launcher();
  Policy policy = policy_for("take_port");
  policy.allowed_syscalls = {"socket", "bind"};
  const Held held = start(*launcher, policy);
  ASSERT_EQ(held.wait_locked(), "locked");
  held.go();
  const Verdict verdict = held.end();
  EXPECT_EQ(verdict.kind, VerdictKind::Exited);
  EXPECT_EQ(verdict.exit_code, 1) << "a port of its own network could be taken";
}

TEST(SecondLine, TheGroupBoundsThreadsThatTheFilterLetsThrough) {
  EXPECT_EQ(run_unconfined("threads_64"), 0);
  const auto launcher = make_launcher();
  Policy policy = policy_for("threads_64");
  policy.memory_bytes = 2ULL << 30U;  // 64 stacks: only their count may stop it
  const Held held = start(*launcher, policy);
  ASSERT_EQ(held.wait_locked(), "locked");
  held.go();
  if (!find_cgroups().has("pids") && ::geteuid() != 0) {
    EXPECT_EQ(held.end().exit_code, 0) << "bounded after all: say by what in the control report";
    return;
  }
  const Verdict verdict = held.end();
  EXPECT_EQ(verdict.exit_code, 1);
  // Without namespaces RLIMIT_NPROC is reached first, and nothing counts what that refuses.
  if (find_host_facts().namespaces) {
    EXPECT_EQ(verdict.kind, VerdictKind::ProcessLimit);
  }
}

TEST(InferencePhase, ForbidsTheThreadsThatLoadingMayStart) {
  const auto launcher = make_launcher();
  Policy policy = policy_for("thread");
  policy.threads = 8;
  const Held loading = start(*launcher, policy);
  ASSERT_EQ(loading.wait_locked(), "locked");
  loading.go();
  EXPECT_EQ(loading.end().exit_code, 0) << "the load filter must let the engine start threads";
  policy.arguments.emplace_back("--inference");
  const Held inference = start(*launcher, policy);
  ASSERT_EQ(inference.wait_locked(), "locked");
  inference.go();
  EXPECT_EQ(inference.end().kind, VerdictKind::SyscallDenied);
}

/// Whether this process may make one more important.
bool may_raise_priorities() {
  const int own = ::getpriority(PRIO_PROCESS, 0);
  if (::setpriority(PRIO_PROCESS, 0, own - 1) != 0) return false;
  return ::setpriority(PRIO_PROCESS, 0, own) == 0;
}

TEST(Limits, ANegativePriorityIsGivenOrRefusedInWords) {
  const auto launcher = make_launcher();
  Policy policy = policy_for("nothing");
  policy.nice = -3;
  if (may_raise_priorities()) {
    const Held held = start(*launcher, policy);
    ASSERT_EQ(held.wait_locked(), "locked");
    EXPECT_EQ(::getpriority(PRIO_PROCESS, static_cast<id_t>(held.process->pid())), -3);
    return;
  }
  const auto refused = launcher->spawn(policy, UniqueFd());
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message().find("CAP_SYS_NICE"), std::string::npos)
      << refused.error().message();
}

TEST(Limits, AnUnimportantLauncherStartsUnimportantProcesses) {
  const int own = ::getpriority(PRIO_PROCESS, 0);
  const int worse = std::max(own, 4);
  ASSERT_EQ(::setpriority(PRIO_PROCESS, 0, worse), 0);
  Policy policy = policy_for("nothing");
  policy.nice = 1;  // which it cannot give
  const auto launcher = make_launcher();
  const Held held = start(*launcher, policy);
  ASSERT_EQ(held.wait_locked(), "locked");
  EXPECT_EQ(::getpriority(PRIO_PROCESS, static_cast<id_t>(held.process->pid())), worse);
  (void)::setpriority(PRIO_PROCESS, 0,
                      own);  // an ordinary user cannot: the tests after it do not mind
}

TEST(Limits, StandInTheGroupAndInThePriority) {
  const auto launcher = make_launcher();
  Policy policy = policy_for("nothing");
  const CgroupHost host = find_cgroups();
  policy.cpu_cores = host.has("cpu") ? 0.5 : 1;  // a fraction is refused where no group can hold it
  policy.nice = 7;
  const Held held = start(*launcher, policy);
  ASSERT_EQ(held.wait_locked(), "locked");
  EXPECT_EQ(::getpriority(PRIO_PROCESS, static_cast<id_t>(held.process->pid())), 7);
  const struct {
    const char* controller;
    const char* v1_file;
    const char* v2_file;
    const char* v1_value;
    const char* v2_value;
  } cases[] = {{"memory", "memory.limit_in_bytes", "memory.max", "67108864\n", "67108864\n"},
               {"cpu", "cpu.cfs_quota_us", "cpu.max", "50000\n", "50000 100000\n"},
               {"pids", "pids.max", "pids.max", "4\n", "4\n"}};
  const auto groups =
      read_file("/proc/" + std::to_string(held.process->pid()) + "/cgroup", 65536).value_or("");
  const auto at = groups.find("/symbiont-");
  const std::string name =
      at == std::string::npos ? "" : groups.substr(at + 1, groups.find('\n', at) - at - 1);
  for (const auto& each : cases) {
    if (!host.has(each.controller)) continue;
    const auto& [directory, unified] = host.controllers.at(each.controller);
    const auto file = directory / name / (unified ? each.v2_file : each.v1_file);
    EXPECT_EQ(read_file(file, 4096).value_or("unreadable"), unified ? each.v2_value : each.v1_value)
        << file;
  }
}

TEST(Confinement, UnknownSystemCallNameIsAnError) {
  const auto launcher = make_launcher();
  Policy policy = policy_for("nothing");
  policy.allowed_syscalls = {"opne"};
  const auto process = launcher->spawn(policy, UniqueFd());
  ASSERT_FALSE(process.has_value());
  EXPECT_EQ(process.error().message(), "unknown system call 'opne'");
}

TEST(Confinement, AWorkersListCannotUndoTheSandboxOrDebug) {
  const auto launcher = make_launcher();
  for (const char* name : {"mount", "ptrace"}) {
    Policy policy = policy_for("nothing");
    policy.allowed_syscalls = {name};
    const auto process = launcher->spawn(policy, UniqueFd());
    ASSERT_FALSE(process.has_value()) << name;
    EXPECT_NE(process.error().message().find("'" + std::string(name) + "' in allowed_syscalls"),
              std::string::npos)
        << process.error().message();
  }
}

}  // namespace
}  // namespace symbiont::sandbox
