// Decode speed inside the sandbox over bare llama.cpp, pair by pair in one run.
// Usage: decode_ratio BARE_DECODE MODEL [THREADS] [TOKENS] [ROUNDS]

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "symbiont/local_gguf_runner.h"

namespace {

double run_bare(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), &::pclose);
  std::array<char, 64> line{};
  if (!pipe || std::fgets(line.data(), line.size(), pipe.get()) == nullptr) return 0;
  return std::strtod(line.data(), nullptr);
}

double run_confined(symbiont::SlmRunner& runner, std::uint32_t tokens) {
  symbiont::ExecutionOptions options;
  options.temperature = 0;
  options.max_tokens = tokens;
  options.raw = true;
  options.timeout = std::chrono::minutes(2);
  const auto result =
      runner.execute("Count from one to one thousand: one, two, three, four,", options);
  if (!result.has_value()) {
    fmt::print(stderr, "{}\n", result.error().message());
    return 0;
  }
  const auto& metadata = result->metadata;
  return 1000.0 * metadata.usage.completion_tokens / metadata.timing.decode_ms;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values.empty() ? 0 : values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: decode_ratio BARE_DECODE MODEL [THREADS] [TOKENS] [ROUNDS]\n");
    return 2;
  }
  const auto number = [&](int index, int otherwise) {
    return argc > index ? std::atoi(argv[index]) : otherwise;
  };
  const int threads = number(3, 2);
  const int tokens = number(4, 200);
  symbiont::SandboxProfile profile;
  profile.resources.max_cpu_cores = threads;
  profile.process_limits.process_priority = 0;
  auto runner = symbiont::LocalGgufRunner::create(argv[2], profile, {});
  if (!runner.has_value()) {
    fmt::print(stderr, "{}\n", runner.error().message());
    return 1;
  }
  const std::string bare = fmt::format("'{}' '{}' {} {}", argv[1], argv[2], threads, tokens);
  std::vector<double> bare_speeds;
  std::vector<double> confined_speeds;
  std::vector<double> ratios;
  for (int round = 0; round < number(5, 7); ++round) {
    const double outside = run_bare(bare);
    const double inside = run_confined(**runner, static_cast<std::uint32_t>(tokens));
    if (outside <= 0 || inside <= 0) return 1;
    bare_speeds.push_back(outside);
    confined_speeds.push_back(inside);
    ratios.push_back(inside / outside);
  }
  fmt::print(
      "threads {}, tokens {}, rounds {}\nbare llama.cpp  {:7.1f} tok/s\nin the sandbox  {:7.1f} "
      "tok/s\n",
      threads, tokens, ratios.size(), median(bare_speeds), median(confined_speeds));
  fmt::print("median of ratios {:.3f}, from {:.3f} to {:.3f}\n", median(ratios),
             std::ranges::min(ratios), std::ranges::max(ratios));
  return 0;
}
