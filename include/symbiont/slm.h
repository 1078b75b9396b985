#ifndef SYMBIONT_SLM_H_
#define SYMBIONT_SLM_H_

// The configuration as one value: read from TOML, or built in code. ModelCatalog::create() takes it
// from here.

#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/model.h"
#include "symbiont/sandbox_profile.h"

namespace symbiont {

/// One error or warning about a configuration, with its place in the file.
struct ConfigProblem {
  std::string file;        ///< as given to from_file() or from_toml()
  std::uint32_t line = 0;  ///< 1-based; 0 = the file as a whole
  std::uint32_t column = 0;
  std::string key;  ///< "slm.sandbox_profiles.secure.resources.max_memory_mb"; may be empty
  std::string message;
  std::string suggestion;  ///< a name that was probably meant; empty = none

  /// "FILE:LINE:COLUMN: KEY: MESSAGE; did you mean 'SUGGESTION'?"
  [[nodiscard]] std::string to_string() const;
  bool operator==(const ConfigProblem&) const = default;
};

/// Everything wrong with a configuration, in the order of the file.
struct ConfigErrors {
  std::vector<ConfigProblem> errors;  ///< never empty
  std::vector<ConfigProblem> warnings;

  /// The errors, one a line.
  [[nodiscard]] std::string to_string() const;
};

/// May an agent that `agent_model_maps` does not name use models, once that table exists?
enum class UnmappedAgents : std::uint8_t { Deny, All };

/// Strict: a control that this host cannot enforce refuses the start. Degraded: it is named in
/// every result instead.
enum class Enforcement : std::uint8_t { Strict, Degraded };

struct ModelAllowLists {
  std::vector<Model> global_models;
  /// Agent to model ids. Absent: every agent may use every model. Ids of undefined models grant
  /// nothing.
  std::optional<std::map<std::string, std::vector<std::string>, std::less<>>> agent_model_maps;
};

struct ListenAddress {
  std::string host;        ///< name or address; IPv6 without brackets
  std::uint16_t port = 0;  ///< 0 = any free port
  bool operator==(const ListenAddress&) const = default;
};

struct TlsSettings {
  std::filesystem::path certificate_file;
  std::filesystem::path private_key_file;
};

struct ServerLimits {
  std::uint64_t max_body_bytes = std::uint64_t{4} << 20;
  std::uint32_t max_connections = 10'000;
  std::chrono::seconds header_timeout{10};      ///< `header_timeout_seconds`
  std::chrono::seconds body_timeout{60};        ///< `body_timeout_seconds`
  std::chrono::seconds idle_timeout{75};        ///< `idle_timeout_seconds`, between two requests
  std::chrono::seconds write_timeout{30};       ///< `write_timeout_seconds`, without progress
  std::chrono::seconds execution_timeout{300};  ///< `execution_timeout_seconds`, with the queue
  std::uint32_t max_running = 64;               ///< executions at once
  std::uint32_t max_running_per_agent = 48;
  std::uint32_t max_queued = 1'024;  ///< executions that wait
  std::uint32_t max_queued_per_agent = 128;
  std::uint32_t max_parallel = 16;  ///< executions that one worker decodes together, to 64
  std::chrono::seconds idle_unload{
      300};                            ///< `idle_unload_seconds`, a worker's without work; 0: never
  std::uint64_t memory_budget_mb = 0;  ///< of all workers together; 0: 80 % of this host's
};

/// What one agent may use in a minute; 0 = no limit.
struct ServerQuotas {
  std::uint64_t requests_per_minute = 0;
  std::uint64_t tokens_per_minute = 0;  ///< of prompts and answers
};

/// [server]: paths are absolute once loaded from a file.
struct ServerSettings {
  std::optional<ListenAddress> listen;
  std::filesystem::path unix_socket;  ///< empty = none
  std::filesystem::path keys_file;    ///< empty = none
  std::optional<TlsSettings> tls;
  std::string default_agent = "default";             ///< callers of a loopback address without keys
  std::map<std::uint32_t, std::string> unix_agents;  ///< by user id; others are "uid:N"
  std::vector<std::string> allowed_hosts;  ///< Host names beside loopback ones and `listen`
  std::vector<std::string> cors_origins;   ///< "https://app.example"; empty = no other web pages
  ServerLimits limits;
  ServerQuotas quotas;
};

enum class AuditSync : std::uint8_t { Always, Interval, Never };

/// [audit]: paths are absolute once loaded from a file.
struct AuditSettings {
  std::filesystem::path path;  ///< empty = no audit log
  AuditSync sync = AuditSync::Interval;
  std::filesystem::path signing_key_file;  ///< empty = records are chained, not signed
};

/// The whole configuration. Default-constructed: no models, the built-in `secure` profile.
struct Slm {
  bool enabled = true;
  std::string default_sandbox_profile = "secure";
  bool allow_runtime_overrides = false;
  UnmappedAgents unmapped_agents = UnmappedAgents::Deny;
  Enforcement enforcement = Enforcement::Strict;
  ModelAllowLists model_allow_lists;
  /// By name. `secure` exists even when it is not here, with its built-in values.
  std::map<std::string, SandboxProfile, std::less<>> sandbox_profiles;
  ServerSettings server;
  AuditSettings audit;
  std::vector<ConfigProblem> warnings;  ///< what from_file() and from_toml() found odd but valid

  /// Reads and checks a file of at most 64 MiB. Relative paths of files (`file_path`, `keys_file`,
  /// `unix_socket`, audit and TLS files) are relative to the directory of `path`; paths inside a
  /// sandbox profile must be absolute.
  [[nodiscard]] static std::expected<Slm, ConfigErrors> from_file(
      const std::filesystem::path& path);

  /// As from_file(); `name` stands for the file in messages. Relative paths of files are relative
  /// to `directory`, and an error when it is empty.
  [[nodiscard]] static std::expected<Slm, ConfigErrors> from_toml(
      std::string_view text,
      std::string_view name = "<text>",
      const std::filesystem::path& directory = {});
};

}  // namespace symbiont

#endif  // SYMBIONT_SLM_H_
