#include "cmd/symbiont/starter_config.h"

#include <algorithm>

#include <fmt/format.h>

#include "symbiont/model.h"

#include "gguf/describe.h"
#include "gguf/escape.h"

namespace symbiont::cli {
namespace {

constexpr std::size_t kMaxIdBytes = 64;
constexpr std::size_t kMaxNameBytes = 80;
constexpr std::uint64_t kMinMemoryMb = 512;     ///< of the built-in profile
constexpr std::uint64_t kEngineMemoryMb = 256;  ///< the engine's own buffers
constexpr std::uint64_t kMemoryGranuleMb = 64;
constexpr unsigned kMaxCores = 16;  ///< more make a small model no faster

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

std::string id_of(const std::filesystem::path& path) {
  std::string id = path.stem().string().substr(0, kMaxIdBytes);
  std::ranges::replace_if(id, [](char c) { return !is_plain(c); }, '-');
  return id;
}

/// A basic string of TOML.
std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\u{:04X}", byte);
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

bool mentions(std::string_view text, std::string_view word) {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
  return !std::ranges::search(text, word, same).empty();
}

/// Guesses from the header; the file says that they are guesses.
std::vector<std::string_view> capabilities_of(const gguf::Header& header, std::string_view name) {
  if (mentions(header.string_or_empty("general.architecture"), "bert")) {
    return {to_string(ModelCapability::Embeddings)};
  }
  std::vector<std::string_view> found = {to_string(ModelCapability::TextGeneration)};
  if (mentions(name, "code")) found.push_back(to_string(ModelCapability::CodeGeneration));
  if (mentions(header.string_or_empty("tokenizer.chat_template"), "tool")) {
    found.push_back(to_string(ModelCapability::ToolUse));
    found.push_back(to_string(ModelCapability::FunctionCalling));
  }
  return found;
}

/// The weights, half as much again for conversations, and the engine's own.
std::uint64_t memory_for(std::uint64_t file_bytes) {
  const std::uint64_t mb = file_bytes / (1U << 20U) + 1;
  const std::uint64_t wanted = std::max(mb + mb / 2 + kEngineMemoryMb, kMinMemoryMb);
  return (wanted + kMemoryGranuleMb - 1) / kMemoryGranuleMb * kMemoryGranuleMb;
}

constexpr std::string_view kModels = R"(# Written by 'symbiont init'.
#   symbiont config check          every problem of this file, with its line
#   symbiont run "a question"      answers with the model below
#   symbiont serve                 the same over HTTP, for the clients of OpenAI, Anthropic and Ollama

[slm]
default_sandbox_profile = "local"
unmapped_agents = "deny"            # agents without an entry in agent_model_maps may use nothing

[[slm.model_allow_lists.global_models]]
# {about}
id = {id}
name = {name}
provider = {{ LocalFile = {{ file_path = {path} }} }}
# A guess from the file; 'symbiont models best' and agents that look for a capability go by it.
capabilities = [{capabilities}]
isolation = "agent"                 # "agent": a process for each agent; "shared": one for all; "request"
# sha256 = "..."                    # of 'sha256sum FILE': checked on the very bytes that are loaded
resource_requirements = {{ min_memory_mb = {min_memory_mb} }}

# Which agent may use which model. "default" is who calls the gateway on this machine without a key.
[slm.model_allow_lists.agent_model_maps]
"default" = [{id}]
# "reviewer" = [{id}]

)";

constexpr std::string_view kProfile =
    R"(# What one worker may use; the kernel holds it to that. Everything that is left out comes from the
# built-in profile "secure": no network, no files, no processes.
[slm.sandbox_profiles.local.resources]
# {size} of weights, and room for conversations: with more of it, more run at once.
max_memory_mb = {memory_mb}
max_cpu_cores = {cores}.0                # the worker has as many threads
[slm.sandbox_profiles.local.process_limits]
max_execution_time_seconds = 300
[slm.sandbox_profiles.local.network]
access_mode = "None"

# The gateway. These are its defaults; docs/serve.md has the others.
# [server]
# listen = "127.0.0.1:8080"         # an address that others can reach needs keys
# keys_file = "keys.json"           # symbiont key new --keys keys.json --agent reviewer --expires 30d
# [server.quotas]                   # of each agent; 0 = none
# requests_per_minute = 0
# tokens_per_minute = 0
# [server.limits]
# execution_timeout_seconds = 300
# idle_unload_seconds = 300         # a worker without work ends; 0 = never
)";

std::string about(const StarterModel& model) {
  std::string text = gguf::human_bytes(model.bytes);
  if (model.context_tokens.has_value()) {
    text += fmt::format(", trained with a context of {} tokens", *model.context_tokens);
  }
  return text;
}

}  // namespace

StarterModel describe_for_starter(const gguf::Header& header,
                                  const std::filesystem::path& path,
                                  unsigned cores) {
  StarterModel model;
  model.id = id_of(path);
  model.name = gguf::escape(header.string_or_empty("general.name"), kMaxNameBytes);
  if (model.name.empty()) model.name = model.id;
  model.path = path;
  model.bytes = header.file_bytes;
  model.context_tokens = gguf::context_length(header);
  model.capabilities = capabilities_of(header, model.id + " " + model.name);
  model.memory_mb = memory_for(header.file_bytes);
  model.cores = std::clamp(cores, 1U, kMaxCores);
  return model;
}

std::string starter_config(const StarterModel& model) {
  using fmt::arg;
  const std::string quote_and_comma = "\", \"";
  return fmt::format(
             kModels, arg("about", about(model)), arg("id", toml_string(model.id)),
             arg("name", toml_string(model.name)), arg("path", toml_string(model.path.string())),
             arg("capabilities",
                 "\"" + fmt::format("{}", fmt::join(model.capabilities, quote_and_comma)) + "\""),
             arg("min_memory_mb", model.bytes / (1U << 20U) + 1)) +
         fmt::format(kProfile, arg("memory_mb", model.memory_mb),
                     arg("size", gguf::human_bytes(model.bytes)), arg("cores", model.cores));
}

}  // namespace symbiont::cli
