// Times system calls of a program that runs under a profile, beside the same program unconfined, in
// turn in one run. Usage: syscall_cost [ROUNDS]

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "symbiont/sandbox.h"

namespace {

using std::chrono::steady_clock;

constexpr int kCheapCalls = 200'000;
constexpr int kOpens = 5'000;

/// Nanoseconds a call.
template <typename Call>
double cost(int count, Call call) {
  const auto begin = steady_clock::now();
  for (int i = 0; i < count; ++i)
    call();
  return std::chrono::duration<double, std::nano>(steady_clock::now() - begin).count() / count;
}

void measure() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const double getppid = cost(kCheapCalls, [] { (void)::syscall(SYS_getppid); });
  const double write = cost(kCheapCalls, [null] {
    if (::write(null, "x", 1) != 1) std::abort();
  });
  const double open = cost(kOpens, [] {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0) std::abort();
    ::close(fd);
  });
  fmt::print("{} {} {}\n", getppid, write, open);
}

using Costs = std::array<double, 3>;

bool parse(const std::string& text, Costs& costs) {
  return std::sscanf(text.c_str(), "%lf %lf %lf", &costs[0], &costs[1],  // NOLINT: our own output
                     &costs[2]) == 3;
}

std::string read_all(int fd) {
  std::array<char, 256> buffer{};
  const ssize_t count = ::read(fd, buffer.data(), buffer.size());
  return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
}

bool run_confined(const std::shared_ptr<symbiont::SandboxHost>& host,
                  const std::string& self,
                  bool report_files,
                  Costs& costs) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return false;
  symbiont::SandboxCommand command;
  command.argv = {self, "--measure"};
  symbiont::SandboxOptions options;
  options.stdout_fd = pipe[1];
  options.report_files = report_files;
  auto program = symbiont::SandboxedProgram::start(host, {}, command, options);
  ::close(pipe[1]);
  if (!program.has_value()) fmt::print(stderr, "{}\n", program.error().message);
  const std::string text = program.has_value() ? read_all(pipe[0]) : "";
  ::close(pipe[0]);
  return parse(text, costs);
}

bool run_bare(const std::string& self, Costs& costs) {
  FILE* out = ::popen(("'" + self + "' --measure").c_str(), "re");  // NOLINT: our own path
  if (out == nullptr) return false;
  const std::string text = read_all(::fileno(out));
  return ::pclose(out) == 0 && parse(text, costs);
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values.empty() ? 0 : values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--measure") {
    measure();
    return 0;
  }
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 11;  // NOLINT(cert-err34-c): a bench
  const std::string self = std::filesystem::canonical("/proc/self/exe").string();
  const auto host = symbiont::SandboxHost::create();
  constexpr std::array<const char*, 3> kNames = {"bare", "confined", "confined, files reported"};
  std::array<std::array<std::vector<double>, 3>, 3> seen;
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t which = 0; which < kNames.size(); ++which) {
      Costs costs{};
      const bool ok =
          which == 0 ? run_bare(self, costs) : run_confined(host, self, which == 2, costs);
      if (!ok) return 1;
      for (std::size_t call = 0; call < costs.size(); ++call)
        seen.at(which).at(call).push_back(costs.at(call));
    }
  }
  fmt::print("{:26} {:>10} {:>10} {:>12}   ns, median of {}\n", "", "getppid", "write 1",
             "open+close", rounds);
  for (std::size_t which = 0; which < kNames.size(); ++which) {
    fmt::print("{:26} {:10.0f} {:10.0f} {:12.0f}\n", kNames.at(which), median(seen.at(which)[0]),
               median(seen.at(which)[1]), median(seen.at(which)[2]));
  }
  return 0;
}
