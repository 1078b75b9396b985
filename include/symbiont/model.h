#ifndef SYMBIONT_MODEL_H_
#define SYMBIONT_MODEL_H_

// One entry of the catalogue. Pure data: the same names as in the configuration file.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "symbiont/capability.h"

namespace symbiont {

/// Where a model comes from; one alternative each, as in `provider = { LocalFile = { ... } }`.
namespace provider {

struct LocalFile {
  std::filesystem::path file_path;  ///< absolute once loaded from a configuration file
  bool operator==(const LocalFile&) const = default;
};
struct HuggingFace {
  std::string model_path;
  bool operator==(const HuggingFace&) const = default;
};
struct OpenAI {
  std::string model_name;
  bool operator==(const OpenAI&) const = default;
};
struct Anthropic {
  std::string model_name;
  bool operator==(const Anthropic&) const = default;
};
struct Custom {
  std::string endpoint_url;  ///< http:// or https://
  bool operator==(const Custom&) const = default;
};
struct Process {
  std::vector<std::string>
      command;  ///< program (absolute path) and its arguments; no shell is involved
  bool operator==(const Process&) const = default;
};

}  // namespace provider

using ModelProvider = std::variant<provider::LocalFile,
                                   provider::HuggingFace,
                                   provider::OpenAI,
                                   provider::Anthropic,
                                   provider::Custom,
                                   provider::Process>;

/// Name of the alternative as written in TOML ("LocalFile").
[[nodiscard]] std::string_view provider_name(const ModelProvider& provider);

struct GpuRequirements {
  std::uint64_t min_vram_mb = 0;   ///< MiB
  std::string compute_capability;  ///< "8.6"; empty = any
  bool operator==(const GpuRequirements&) const = default;
};

struct ModelResourceRequirements {
  std::uint64_t min_memory_mb = 0;   ///< MiB; 0 = not stated
  double preferred_cpu_cores = 1.0;  ///< a wish; the profile's max_cpu_cores is the limit
  std::optional<GpuRequirements> gpu_requirements;
  bool operator==(const ModelResourceRequirements&) const = default;
};

/// Who shares a worker: everybody, the executions of one agent (default), or nobody.
enum class Isolation : std::uint8_t { Shared, Agent, Request };

/// "shared", "agent" or "request".
[[nodiscard]] std::string_view to_string(Isolation isolation);

/// An immutable catalogue entry.
struct Model {
  std::string id;
  std::string name;
  ModelProvider provider;
  CapabilitySet capabilities;
  std::string version;          ///< empty = not stated
  std::string sha256;           ///< 64 lower-case hex digits; empty = not pinned
  std::string sandbox_profile;  ///< empty = the default profile
  Isolation isolation = Isolation::Agent;
  ModelResourceRequirements resource_requirements;
  bool operator==(const Model&) const = default;
};

}  // namespace symbiont

#endif  // SYMBIONT_MODEL_H_
