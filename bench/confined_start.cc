// Times the start and end of a static program that does nothing: bare, under bubblewrap, and
// confined by us, in turn in one run, so that the ratios hold on a noisy machine. Usage:
// confined_start NOOP_PROGRAM [ROUNDS]

#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/core.h>

#include "sandbox/sandbox.h"

namespace {

using namespace symbiont;  // NOLINT(google-build-using-namespace): a main
using std::chrono::steady_clock;

// Between starts: the launcher prepares the next tree in a pause. Not for the rows that say so.
constexpr std::chrono::milliseconds kPause{30};

double timed(const std::function<bool()>& run) {
  const auto begin = steady_clock::now();
  if (!run()) return -1;
  return std::chrono::duration<double, std::milli>(steady_clock::now() - begin).count();
}

bool run_command(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const auto& word : words)
    argv.push_back(const_cast<char*>(word.c_str()));  // NOLINT: exec's interface
  argv.push_back(nullptr);
  pid_t pid = -1;
  if (::posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ) != 0) return false;
  int status = 0;
  return ::waitpid(pid, &status, 0) == pid && status == 0;
}

bool run_confined(sandbox::Launcher& launcher, const sandbox::Policy& policy) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return false;
  const UniqueFd ours(ends[0]);
  auto process = launcher.spawn(policy, UniqueFd(ends[1]));
  if (!process.has_value()) {
    fmt::print(stderr, "{}\n", process.error().message());
    return false;
  }
  const auto verdict = (*process)->wait_until(steady_clock::now() + std::chrono::seconds(10));
  return verdict && verdict->kind == VerdictKind::Exited && verdict->exit_code == 0;
}

double percentile(std::vector<double> values, double share) {
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: confined_start NOOP_PROGRAM [ROUNDS]\n");
    return 2;
  }
  const std::string program = argv[1];
  const int rounds =
      argc > 2 ? std::atoi(argv[2]) : 200;  // NOLINT(cert-err34-c): a bench, 0 runs nothing
  sandbox::Policy policy;
  policy.program = program;
  policy.root = sandbox::RootKind::EmptyBeforeExec;
  policy.memory_bytes = 64U << 20U;
  const auto launcher = sandbox::make_launcher();
  const auto any_program = sandbox::program_policy(
      SandboxProfile{},
      SandboxCommand{.argv = {program}, .environment = {}, .working_directory = {}}, {});
  const auto command = sandbox::find_program("symbiont");
  const auto confined = [&](const sandbox::Policy& with) { return run_confined(*launcher, with); };
  const std::vector<std::pair<const char*, std::function<bool()>>> runs = {
      {"bare posix_spawn", [&] { return run_command({program}); }},
      {"bwrap --unshare-all --ro-bind / /",
       [&] { return run_command({"bwrap", "--unshare-all", "--ro-bind", "/", "/", program}); }},
      {"symbiont, every control", [&] { return confined(policy); }},
      {"the same, right after another", [&] { return confined(policy); }},
      {"symbiont sandbox exec's policy",
       [&] { return any_program.has_value() && confined(*any_program); }},
      {"symbiont sandbox exec, the command",
       [&] {
         return command.has_value() &&
                run_command({command->string(), "sandbox", "exec", "--", program});
       }},
      {"firejail --noprofile --net=none",
       [&] { return run_command({"firejail", "--quiet", "--noprofile", "--net=none", program}); }},
  };
  std::vector<std::vector<double>> times(runs.size());
  for (int round = -5; round < rounds; ++round) {
    for (std::size_t which = 0; which < runs.size(); ++which) {
      if (!std::string_view(runs[which].first).contains("right after"))
        std::this_thread::sleep_for(kPause);
      const double ms = timed(runs[which].second);
      if (ms >= 0 && round >= 0) times[which].push_back(ms);
    }
  }
  for (std::size_t which = 0; which < runs.size(); ++which) {
    const auto& mine = times[which];
    if (mine.empty()) {
      fmt::print("{:36} cannot run here\n", runs[which].first);
      continue;
    }
    fmt::print("{:36} min {:6.2f}  p50 {:6.2f}  p90 {:6.2f} ms\n", runs[which].first,
               percentile(mine, 0), percentile(mine, 0.5), percentile(mine, 0.9));
  }
  if (times[1].empty() || times[2].empty()) return 1;
  fmt::print("ratio of p50, symbiont / bwrap: {:.2f}\n",
             percentile(times[2], 0.5) / percentile(times[1], 0.5));
  return 0;
}
