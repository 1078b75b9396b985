#include "runners/validate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "base/result.h"
#include "ipc/messages.h"
#include "runners/utf8.h"

namespace symbiont {
namespace {

constexpr std::uint64_t kMaxMegabytes = std::uint64_t{1} << 40U;  // keeps `<< 20` from overflowing

std::unexpected<SlmRunnerError> invalid(std::string_view field, std::string reason) {
  return std::unexpected(
      SlmRunnerError(runner_error::InvalidInput{std::string(field), std::move(reason)}));
}

std::unexpected<SlmRunnerError> too_long(std::string_view field, std::size_t bytes) {
  return invalid(field,
                 fmt::format("{} bytes; at most {} (1 MiB) are accepted", bytes, kMaxPromptBytes));
}

Check check_encoding(std::string_view field, std::string_view text) {
  if (const auto at = text.find('\0'); at != std::string_view::npos) {
    return invalid(field, fmt::format("NUL byte at offset {}", at));
  }
  if (const std::size_t at = first_invalid_utf8(text); at != text.size()) {
    return invalid(field, fmt::format("not UTF-8 at byte offset {}", at));
  }
  return {};
}

Check check_range(std::string_view field, float value, float low, float high) {
  if (std::isfinite(value) && value >= low && value <= high) return {};
  return invalid(field, fmt::format("{} is not within {} .. {}", value, low, high));
}

Check check_rules(const ExecutionOptions& options) {
  if (options.grammar.size() > ipc::kMaxGrammarBytes) {
    return invalid("grammar", fmt::format("{} bytes; at most {} (256 KiB) are accepted",
                                          options.grammar.size(), ipc::kMaxGrammarBytes));
  }
  SYMBIONT_TRY_STATUS(check_encoding("grammar", options.grammar));
  if (options.json_schema.size() > ipc::kMaxGrammarBytes) {
    return invalid("json_schema", fmt::format("{} bytes; at most {} (256 KiB) are accepted",
                                              options.json_schema.size(), ipc::kMaxGrammarBytes));
  }
  SYMBIONT_TRY_STATUS(check_encoding("json_schema", options.json_schema));
  if (!options.grammar.empty() && !options.json_schema.empty())
    return invalid("json_schema", "excludes a grammar; give one of them");
  return {};
}

Check check_penalties(const ExecutionOptions& options) {
  SYMBIONT_TRY_STATUS(check_range("frequency_penalty", options.frequency_penalty, -2.0F, 2.0F));
  SYMBIONT_TRY_STATUS(check_range("presence_penalty", options.presence_penalty, -2.0F, 2.0F));
  if (options.logit_bias.size() > ipc::kMaxLogitBiases) {
    return invalid("logit_bias", fmt::format("{} tokens; at most {} are accepted",
                                             options.logit_bias.size(), ipc::kMaxLogitBiases));
  }
  for (const auto& [token, bias] : options.logit_bias)
    SYMBIONT_TRY_STATUS(check_range(fmt::format("logit_bias[{}]", token), bias, -100.0F, 100.0F));
  return {};
}

Check check_sampling(const ExecutionOptions& options) {
  SYMBIONT_TRY_STATUS(check_range("temperature", options.temperature, 0.0F, 2.0F));
  SYMBIONT_TRY_STATUS(check_range("top_p", options.top_p, 0.0F, 1.0F));
  SYMBIONT_TRY_STATUS(check_range("min_p", options.min_p, 0.0F, 1.0F));
  SYMBIONT_TRY_STATUS(check_range("repeat_penalty", options.repeat_penalty, 0.0F, 2.0F));
  if (options.repeat_penalty <= 0.0F) return invalid("repeat_penalty", "must be above 0");
  SYMBIONT_TRY_STATUS(check_penalties(options));
  SYMBIONT_TRY_STATUS(check_rules(options));
  if (options.top_logprobs.value_or(0) > static_cast<std::uint32_t>(ipc::kMaxTopLogprobs)) {
    return invalid("top_logprobs", fmt::format("{} is not within 0 .. {}", *options.top_logprobs,
                                               ipc::kMaxTopLogprobs));
  }
  return {};
}

Check check_stop_strings(const std::vector<std::string>& stop) {
  if (stop.size() > kMaxStopStrings) {
    return invalid(
        "stop", fmt::format("{} strings; at most {} are accepted", stop.size(), kMaxStopStrings));
  }
  for (const std::string& text : stop) {
    if (text.empty()) return invalid("stop", "a stop string is empty");
    if (text.size() > kMaxStopBytes) {
      return invalid("stop", fmt::format("a stop string has {} bytes; at most {} are accepted",
                                         text.size(), kMaxStopBytes));
    }
    SYMBIONT_TRY_STATUS(check_encoding("stop", text));
  }
  return {};
}

Check check_size(std::string_view field, std::uint64_t megabytes, std::uint64_t minimum) {
  if (megabytes >= minimum && megabytes <= kMaxMegabytes) return {};
  return invalid(field,
                 fmt::format("{} is not within {} .. {}", megabytes, minimum, kMaxMegabytes));
}

}  // namespace

Check validate_text(std::string_view field, std::string_view text) {
  if (text.empty()) return invalid(field, "is empty");
  if (text.size() > kMaxPromptBytes) return too_long(field, text.size());
  return check_encoding(field, text);
}

Check validate_messages(std::span<const ChatMessage> messages) {
  if (messages.empty()) return invalid("messages", "there are none");
  if (messages.size() > kMaxMessages) {
    return invalid("messages",
                   fmt::format("{}; at most {} are accepted", messages.size(), kMaxMessages));
  }
  std::size_t bytes = 0;
  bool has_text = false;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    constexpr std::array<std::string_view, 4> kRoles = {"system", "user", "assistant", "tool"};
    if (std::ranges::find(kRoles, message.role) == kRoles.end()) {
      return invalid(fmt::format("messages[{}].role", i),
                     fmt::format("'{}' is none of system, user, assistant, tool",
                                 printable(message.role, 32)));
    }
    SYMBIONT_TRY_STATUS(check_encoding(fmt::format("messages[{}].content", i), message.content));
    bytes += message.content.size();
    has_text = has_text || (message.role != "system" && !message.content.empty());
  }
  if (bytes > kMaxPromptBytes) return too_long("messages", bytes);
  if (!has_text) return invalid("messages", "no user or assistant message has any text");
  return {};
}

Check validate_inputs(std::span<const ChatMessage> messages) {
  if (messages.empty()) return invalid("input", "there is none");
  if (messages.size() > ipc::kMaxEmbeddingInputs) {
    return invalid("input", fmt::format("{} texts; at most {} are accepted", messages.size(),
                                        ipc::kMaxEmbeddingInputs));
  }
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    SYMBIONT_TRY_STATUS(validate_text(fmt::format("input[{}]", i), messages[i].content));
    bytes += messages[i].content.size();
  }
  if (bytes > kMaxPromptBytes) return too_long("input", bytes);
  return {};
}

Check validate_options(const ExecutionOptions& options,
                       std::span<const std::string_view> known_parameters) {
  if (options.timeout <= std::chrono::milliseconds(0) || options.timeout > kMaxTimeout) {
    return invalid("timeout", fmt::format("{} ms is not within 1 .. {}", options.timeout.count(),
                                          kMaxTimeout.count()));
  }
  if (options.max_tokens == 0 || options.max_tokens > kMaxNewTokens) {
    return invalid("max_tokens",
                   fmt::format("{} is not within 1 .. {}", options.max_tokens, kMaxNewTokens));
  }
  SYMBIONT_TRY_STATUS(check_sampling(options));
  SYMBIONT_TRY_STATUS(check_stop_strings(options.stop));
  for (const auto& [name, value] : options.custom_parameters) {
    if (std::ranges::find(known_parameters, name) == known_parameters.end()) {
      return invalid(fmt::format("custom_parameters['{}']", printable(name, 64)),
                     "this runner knows no parameter of this name");
    }
  }
  return {};
}

Check validate_plain_sampling(const ExecutionOptions& options) {
  constexpr std::string_view kReason = "this kind of runner does not offer it";
  if (options.frequency_penalty != 0.0F) return invalid("frequency_penalty", std::string(kReason));
  if (options.presence_penalty != 0.0F) return invalid("presence_penalty", std::string(kReason));
  if (!options.logit_bias.empty()) return invalid("logit_bias", std::string(kReason));
  if (!options.grammar.empty()) return invalid("grammar", std::string(kReason));
  if (!options.json_schema.empty()) return invalid("json_schema", std::string(kReason));
  if (options.only_count) return invalid("only_count", std::string(kReason));
  if (options.embed) return invalid("embed", std::string(kReason));
  if (options.top_logprobs) return invalid("top_logprobs", std::string(kReason));
  return {};
}

Check validate_isolation(std::string_view isolation) {
  constexpr std::array<std::string_view, 3> kKnown = {"shared", "agent", "request"};
  if (std::ranges::find(kKnown, isolation) != kKnown.end()) return {};
  return invalid("isolation", fmt::format("'{}' is none of shared, agent, request", isolation));
}

Check validate_profile(const SandboxProfile& profile,
                       const ModelResourceRequirements& requirements) {
  const ResourceLimits& resources = profile.resources;
  SYMBIONT_TRY_STATUS(check_size("profile.resources.max_memory_mb", resources.max_memory_mb, 1));
  SYMBIONT_TRY_STATUS(check_size("profile.resources.max_disk_mb", resources.max_disk_mb,
                                 profile.filesystem.allow_temp_files ? 1 : 0));
  if (!std::isfinite(resources.max_cpu_cores) || resources.max_cpu_cores <= 0.0 ||
      resources.max_cpu_cores > 4096.0) {
    return invalid("profile.resources.max_cpu_cores",
                   fmt::format("{} is not above 0 and at most 4096", resources.max_cpu_cores));
  }
  const std::uint64_t seconds = profile.process_limits.max_execution_time_seconds;
  const auto max_seconds = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(kMaxTimeout).count());
  if (seconds == 0 || seconds > max_seconds) {
    return invalid("profile.process_limits.max_execution_time_seconds",
                   fmt::format("{} is not within 1 .. {}", seconds, max_seconds));
  }
  const int priority = profile.process_limits.process_priority;
  if (priority < -20 || priority > 19) {
    return invalid("profile.process_limits.process_priority",
                   fmt::format("{} is not within -20 .. 19", priority));
  }
  SYMBIONT_TRY_STATUS(
      check_size("resource_requirements.min_memory_mb", requirements.min_memory_mb, 0));
  if (requirements.min_memory_mb > resources.max_memory_mb) {
    return std::unexpected(SlmRunnerError(runner_error::ResourceLimitExceeded{
        "memory", resources.max_memory_mb << 20U, requirements.min_memory_mb << 20U}));
  }
  return {};
}

}  // namespace symbiont
