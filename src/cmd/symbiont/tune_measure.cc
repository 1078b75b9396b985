#include "cmd/symbiont/tune_measure.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "symbiont/local_gguf_runner.h"

namespace symbiont::cli {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kRounds = 3;
constexpr std::size_t kTogether = 16;
constexpr std::uint32_t kAnswerTokens = 32;
constexpr std::size_t kPromptSentences = 24;
constexpr std::uint64_t kWorkingMb = 1024;  ///< beside the weights: cells and buffers
constexpr std::chrono::seconds kTimeout{300};

/// The questions whose answers are compared, and that are asked together.
constexpr std::array<const char*, kTogether> kQuestions = {
    "Name three large rivers.",
    "Write a function in Python that adds two numbers.",
    "Why is the sky blue?",
    "Translate 'good morning' into French.",
    "What is the capital of Portugal?",
    "List the first five prime numbers.",
    "Explain what a compiler does.",
    "Write a short poem about rain.",
    "How many legs does a spider have?",
    "What does HTTP stand for?",
    "Give a synonym for 'fast'.",
    "Describe a lighthouse in one sentence.",
    "Which planet is the largest?",
    "What is seven times eight?",
    "Summarise what a sandbox is for.",
    "Name a fruit that is yellow."};

using Tokens = std::vector<std::string>;

/// One of the two models, warm.
struct Candidate {
  std::unique_ptr<LocalGgufRunner> runner;
  std::vector<double> reading;
  std::vector<double> writing;
  std::vector<double> together;
  std::array<Tokens, kTogether> answers;
};

std::expected<Candidate, Failure> make_candidate(const std::filesystem::path& file, bool strict) {
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(file, error);
  if (error) return std::unexpected(to_failure(errno_error(file.string(), error.value())));
  const unsigned processors = std::max(1U, std::thread::hardware_concurrency());
  SandboxProfile profile;
  profile.name = "tune";
  profile.resources.max_memory_mb = (bytes >> 20U) + kWorkingMb;
  profile.resources.max_cpu_cores = processors;
  profile.process_limits.process_priority = 0;
  profile.process_limits.max_execution_time_seconds = kTimeout.count();
  LocalGgufOptions options;
  options.max_parallel = kTogether;
  options.strict = strict;
  auto runner = LocalGgufRunner::create(file, profile, {}, std::move(options));
  if (!runner.has_value()) return std::unexpected(to_failure(runner.error()));
  if (const auto healthy = (*runner)->health_check(); !healthy.has_value())
    return std::unexpected(to_failure(healthy.error()));
  Candidate candidate;
  candidate.runner = *std::move(runner);
  return candidate;
}

ExecutionOptions greedy(std::uint32_t max_tokens) {
  ExecutionOptions options;
  options.timeout = kTimeout;
  options.temperature = 0;
  options.max_tokens = max_tokens;
  return options;
}

/// Some hundred tokens; `round` stands first so that nothing of it is remembered from before.
std::string long_prompt(std::size_t round) {
  std::string text = fmt::format("Report {}.", round);
  for (std::size_t i = 0; i < kPromptSentences; ++i)
    text += fmt::format(" Ship number {} came in at noon with a cargo of salt and oranges.", i);
  return text;
}

double per_second(double count, double ms) {
  return ms <= 0 ? 0 : count * 1000 / ms;
}

std::expected<void, Failure> measure_alone(Candidate& candidate,
                                           std::size_t round,
                                           const std::stop_token& stop_token) {
  const auto read = candidate.runner->execute(long_prompt(round), greedy(1), nullptr, stop_token);
  if (!read.has_value()) return std::unexpected(to_failure(read.error()));
  const TokenUsage& usage = read->metadata.usage;
  candidate.reading.push_back(
      per_second(usage.prompt_tokens - usage.cached_tokens, read->metadata.timing.prefill_ms));
  const auto written = candidate.runner->execute("Tell a long story about a harbour.",
                                                 greedy(2 * kAnswerTokens), nullptr, stop_token);
  if (!written.has_value()) return std::unexpected(to_failure(written.error()));
  candidate.writing.push_back(
      per_second(written->metadata.usage.completion_tokens, written->metadata.timing.decode_ms));
  return {};
}

std::expected<void, Failure> measure_together(Candidate& candidate,
                                              const std::stop_token& stop_token) {
  std::array<SlmRunner::Outcome, kTogether> outcomes;
  const steady_clock::time_point start = steady_clock::now();
  {
    std::vector<std::jthread> threads;
    threads.reserve(kTogether);
    for (std::size_t i = 0; i < kTogether; ++i) {
      threads.emplace_back([&, i] {
        outcomes[i] =
            candidate.runner->execute(kQuestions[i], greedy(kAnswerTokens), nullptr, stop_token);
      });
    }
  }
  const std::chrono::duration<double, std::milli> elapsed = steady_clock::now() - start;
  std::uint64_t tokens = 0;
  for (std::size_t i = 0; i < kTogether; ++i) {
    if (!outcomes[i].has_value()) return std::unexpected(to_failure(outcomes[i].error()));
    tokens += outcomes[i]->metadata.usage.completion_tokens;
  }
  candidate.together.push_back(per_second(static_cast<double>(tokens), elapsed.count()));
  return {};
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

Speed speed_of(const Candidate& candidate) {
  return {.reading = median(candidate.reading),
          .writing = median(candidate.writing),
          .together = median(candidate.together)};
}

/// One after the other: in company, rounding depends on who else is there.
std::expected<void, Failure> collect_answers(Candidate& candidate,
                                             const std::stop_token& stop_token) {
  for (std::size_t i = 0; i < kTogether; ++i) {
    ExecutionOptions options = greedy(kAnswerTokens);
    options.top_logprobs = 0;
    const auto outcome = candidate.runner->execute(kQuestions[i], options, nullptr, stop_token);
    if (!outcome.has_value()) return std::unexpected(to_failure(outcome.error()));
    for (const TokenLogprobs& token : outcome->logprobs)
      candidate.answers[i].push_back(token.chosen.token);
  }
  return {};
}

void compare_answers(const Candidate& original, const Candidate& copy, Comparison& into) {
  for (std::size_t i = 0; i < kTogether; ++i) {
    const Tokens& one = original.answers[i];
    const Tokens& other = copy.answers[i];
    const auto end = std::ranges::mismatch(one, other).in1;
    const auto same = static_cast<std::size_t>(end - one.begin());
    into.alike += same;
    into.choices += one == other ? same : same + 1;
  }
}

}  // namespace

std::expected<Comparison, Failure> compare(const std::filesystem::path& original,
                                           const std::filesystem::path& copy,
                                           bool strict,
                                           const std::function<void(float fraction)>& on_progress,
                                           const std::stop_token& stop_token) {
  SYMBIONT_TRY(Candidate first, make_candidate(original, strict));
  SYMBIONT_TRY(Candidate second, make_candidate(copy, strict));
  for (std::size_t round = 0; round < kRounds; ++round) {
    // In changing order, so that a machine that slows down slows both.
    std::array<Candidate*, 2> order = {&first, &second};
    if (round % 2 == 1) std::swap(order[0], order[1]);
    for (Candidate* candidate : order) {
      SYMBIONT_TRY_STATUS(measure_alone(*candidate, round, stop_token));
      SYMBIONT_TRY_STATUS(measure_together(*candidate, stop_token));
    }
    if (on_progress) on_progress(static_cast<float>(round + 1) / (kRounds + 1));
  }
  SYMBIONT_TRY_STATUS(collect_answers(first, stop_token));
  SYMBIONT_TRY_STATUS(collect_answers(second, stop_token));
  Comparison comparison{.original = speed_of(first), .copy = speed_of(second)};
  compare_answers(first, second, comparison);
  return comparison;
}

}  // namespace symbiont::cli
