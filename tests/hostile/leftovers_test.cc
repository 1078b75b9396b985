// Whatever dies and however, nothing of a confined process is left: no process, no cgroup, no
// mount.

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "base/file.h"
#include "sandbox/cgroup.h"
#include "sandbox/child.h"
#include "sandbox/launcher_connection.h"
#include "sandbox/sandbox.h"

namespace symbiont::sandbox {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using std::chrono::steady_clock;

std::string hostile_program() {
  return std::getenv("SYMBIONT_HOSTILE_WORKER");  // NOLINT(concurrency-mt-unsafe): set by ctest
}

/// Set by ctest where the host has none, and a strict start is refused.
bool without_namespaces() {
  return std::getenv("SYMBIONT_DEGRADED") != nullptr;  // NOLINT(concurrency-mt-unsafe)
}

/// Groups of one launcher: others of this host may come and go meanwhile.
std::set<std::string> cgroups_of(int launcher) {
  const std::string prefix = "symbiont-" + std::to_string(launcher) + "-";
  std::set<std::string> names;
  for (const auto& [controller, place] : find_cgroups().controllers) {
    for (const auto& entry : fs::directory_iterator(place.directory)) {
      const std::string name = entry.path().filename();
      if (name.starts_with(prefix)) names.insert(entry.path());
    }
  }
  return names;
}

bool gone_within(int pid, seconds patience) {
  const auto deadline = steady_clock::now() + patience;
  while (steady_clock::now() < deadline) {
    if (process_start_time(pid) == 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

struct Started {
  std::shared_ptr<LauncherConnection> connection;
  std::uint64_t id = 0;
  ReplyMessage reply;
  UniqueFd socket;
};

Started start_hanging() {
  Started started;
  std::array<int, 2> ends{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  started.socket.reset(ends[0]);
  const UniqueFd theirs(ends[1]);
  Policy policy = worker_policy(SandboxProfile{}, hostile_program(), !without_namespaces());
  policy.arguments = {"hang"};
  auto connection = LauncherConnection::start(*find_program("symbiont-launcher"));
  EXPECT_TRUE(connection.has_value());
  started.connection = *connection;
  const auto program = open_regular_file(policy.program);
  auto reply =
      started.connection->spawn(policy, {program->get(), theirs.get()}, {PlanProgram, PlanControl});
  if (!reply.has_value() || reply->reply.reply != Reply::Started) {
    ADD_FAILURE() << "the program did not start";
    return started;
  }
  started.id = reply->id;
  started.reply = reply->reply;
  std::array<char, 6> locked{};
  pollfd polled{started.socket.get(), POLLIN, 0};
  const int ready = ::poll(&polled, 1, 5000);
  EXPECT_EQ(ready, 1);
  if (ready == 1) {
    EXPECT_EQ(::read(started.socket.get(), locked.data(), locked.size()), 6);
  }
  return started;
}

int launcher_of(const Started& started) {
  const auto status =
      read_file("/proc/" + std::to_string(started.reply.init_pid) + "/status", 1U << 16U)
          .value_or("");
  const auto at = status.find("\nPPid:\t");
  return at == std::string::npos ? -1 : std::stoi(status.substr(at + 7));
}

TEST(Leftovers, NoneAfterTheOwnerLetsGo) {
  int pid = 0;
  int launcher = 0;
  {
    const Started started = start_hanging();
    pid = started.reply.pid;
    launcher = launcher_of(started);
    EXPECT_NE(process_start_time(pid), 0U);
  }
  EXPECT_EQ(process_start_time(pid), 0U);
  EXPECT_EQ(cgroups_of(launcher), std::set<std::string>());
}

TEST(Leftovers, ProgramDiesWithPid1OfItsNamespace) {
  const Started started = start_hanging();
  ASSERT_EQ(::kill(started.reply.init_pid, SIGKILL), 0);
  EXPECT_TRUE(gone_within(started.reply.pid, seconds(5)));
  const auto ended = started.connection->wait_ended(started.id, steady_clock::now() + seconds(5));
  ASSERT_TRUE(ended.has_value());
  EXPECT_FALSE(ended->reported);
}

TEST(Leftovers, ProgramDiesWithItsLauncherAndTheNextOneSweeps) {
  int launcher = 0;
  {
    const Started started = start_hanging();
    launcher = launcher_of(started);
    ASSERT_GT(launcher, 0);
    ASSERT_EQ(::kill(launcher, SIGKILL), 0);
    EXPECT_TRUE(gone_within(started.reply.pid, seconds(5)));
    const auto ended = started.connection->wait_ended(started.id, steady_clock::now() + seconds(5));
    ASSERT_TRUE(ended.has_value());
    EXPECT_FALSE(started.connection->alive());
  }
  {
    const Started next = start_hanging();
  }
  EXPECT_EQ(cgroups_of(launcher), std::set<std::string>());
}

TEST(Leftovers, NoMountIsSeenOutside) {
  const auto before = read_file("/proc/self/mountinfo", 1U << 20U).value_or("");
  const Started started = start_hanging();
  EXPECT_EQ(read_file("/proc/self/mountinfo", 1U << 20U).value_or("?"), before);
}

}  // namespace
}  // namespace symbiont::sandbox
