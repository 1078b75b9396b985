#include "cmd/symbiont/sandbox_fields.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "symbiont/slm.h"

#include "base/strings.h"

namespace symbiont::cli {
namespace {

// One profile of this name is parsed for each assignment, so that types, ranges and suggestions are
// those of the configuration.
constexpr std::string_view kScratchProfile = "set";
constexpr std::string_view kScratchKey = "slm.sandbox_profiles.set.";

struct Field {
  std::string_view name;
  void (*copy)(SandboxProfile& to, const SandboxProfile& from);
};

#define SYMBIONT_FIELD(path)                                                           \
  Field {                                                                              \
    #path, [](SandboxProfile& to, const SandboxProfile& from) { to.path = from.path; } \
  }
constexpr std::array kFields = {
    SYMBIONT_FIELD(resources.max_memory_mb),
    SYMBIONT_FIELD(resources.max_cpu_cores),
    SYMBIONT_FIELD(resources.max_disk_mb),
    SYMBIONT_FIELD(resources.gpu_access),
    SYMBIONT_FIELD(resources.max_io_bandwidth_mbps),
    SYMBIONT_FIELD(filesystem.read_paths),
    SYMBIONT_FIELD(filesystem.write_paths),
    SYMBIONT_FIELD(filesystem.denied_paths),
    SYMBIONT_FIELD(filesystem.allow_temp_files),
    SYMBIONT_FIELD(filesystem.max_file_size_mb),
    SYMBIONT_FIELD(process_limits.max_child_processes),
    SYMBIONT_FIELD(process_limits.max_execution_time_seconds),
    SYMBIONT_FIELD(process_limits.allowed_syscalls),
    SYMBIONT_FIELD(process_limits.process_priority),
    SYMBIONT_FIELD(network.access_mode),
    SYMBIONT_FIELD(network.allowed_destinations),
    SYMBIONT_FIELD(network.max_bandwidth_mbps),
    SYMBIONT_FIELD(security.strict_syscall_filtering),
    SYMBIONT_FIELD(security.disable_debugging),
    SYMBIONT_FIELD(security.enable_audit_logging),
    SYMBIONT_FIELD(security.require_encryption),
};
#undef SYMBIONT_FIELD

const Field* find_field(std::string_view name) {
  const auto* found = std::ranges::find(kFields, name, &Field::name);
  return found == kFields.end() ? nullptr : found;
}

Failure unknown_field(std::string_view name) {
  std::array<std::string_view, kFields.size()> names;
  std::string all;
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    names[i] = kFields[i].name;
    all += all.empty() ? "" : ", ";
    all += kFields[i].name;
  }
  const std::string_view near = closest_match(name, names);
  return usage_failure(
      fmt::format("--set: {} is no field of a sandbox profile", symbiont::quoted(name)),
      near.empty() ? fmt::format("one of {}", all) : fmt::format("did you mean '{}'?", near));
}

/// A TOML basic string.
std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += '\\';
    out += byte < 0x20 || byte == 0x7F ? fmt::format("\\u{:04X}", byte) : std::string(1, c);
  }
  return out + '"';
}

/// A word that TOML would not take, such as Full: a string is meant.
bool is_bare_word(std::string_view value) {
  const auto is_word = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; };
  if (value.empty() || !std::ranges::all_of(value, is_word)) return false;
  return std::isalpha(static_cast<unsigned char>(value.front())) != 0 && value != "true" &&
         value != "false" && value != "inf" && value != "nan";
}

Failure bad_value(std::string_view name, std::string_view value, const ConfigProblem& problem) {
  std::string hint;
  if (!problem.suggestion.empty()) hint = fmt::format("did you mean '{}'?", problem.suggestion);
  std::string_view key = problem.key;
  if (!key.starts_with(kScratchKey)) {
    return usage_failure(fmt::format("--set {}: {} is not a value: {}", name,
                                     symbiont::quoted(value), problem.message),
                         "values are written as in the configuration, quoted for the shell: "
                         "--set 'filesystem.read_paths=[\"/data\"]'");
  }
  key.remove_prefix(kScratchKey.size());
  return usage_failure(fmt::format("--set {}: {}", key, problem.message), std::move(hint));
}

struct Destination {
  std::string host;
  std::string port;
  std::string protocol;
};

std::string protocol_of(std::string_view port) {
  if (port == "443") return "HTTPS";
  return port == "80" ? "HTTP" : "TCP";
}

/// HOST:PORT[/PROTOCOL] in its parts, none of them checked beyond their shape.
std::optional<Destination> split_destination(std::string_view text) {
  Destination parts;
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    for (const char c : text.substr(slash + 1))
      parts.protocol += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    text = text.substr(0, slash);
    if (parts.protocol.empty()) return std::nullopt;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  parts.port = text.substr(colon + 1);
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return std::nullopt;
  parts.host = host;
  const auto is_digit = [](unsigned char c) { return std::isdigit(c) != 0; };
  constexpr std::size_t kMaxPortDigits = 5;
  if (parts.port.empty() || parts.port.size() > kMaxPortDigits || parts.port.front() == '0' ||
      !std::ranges::all_of(parts.port, is_digit)) {
    return std::nullopt;
  }
  if (parts.protocol.empty()) parts.protocol = protocol_of(parts.port);
  return parts;
}

std::expected<NetworkDestination, Failure> read_destination(const std::string& text) {
  const auto parts = split_destination(text);
  if (!parts.has_value()) {
    return std::unexpected(
        usage_failure(fmt::format("--net: {} is neither none, full nor HOST:PORT[/PROTOCOL]",
                                  symbiont::quoted(text)),
                      "as in --net api.example.org:443 or --net db.example.org:5432/tcp"));
  }
  SandboxProfile one;
  const std::string value =
      fmt::format("network.allowed_destinations=[{{host={},port={},protocol={}}}]",
                  toml_string(parts->host), parts->port, toml_string(parts->protocol));
  auto set = set_any_field(one, value);
  if (!set.has_value()) {
    Failure failure = std::move(set).error();
    failure.message = fmt::format("--net {}: {}", symbiont::quoted(text),
                                  failure.message.substr(failure.message.find(": ") + 2));
    return std::unexpected(std::move(failure));
  }
  return std::move(one.network.allowed_destinations.front());
}

}  // namespace

std::expected<void, Failure> set_any_field(SandboxProfile& profile, std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) {
    return std::unexpected(
        usage_failure(fmt::format("--set: {} has no '='", symbiont::quoted(assignment)),
                      "as in --set resources.max_memory_mb=64"));
  }
  const std::string_view name = assignment.substr(0, equals);
  const std::string_view value = assignment.substr(equals + 1);
  const Field* field = find_field(name);
  if (field == nullptr) return std::unexpected(unknown_field(name));
  const std::size_t dot = name.find('.');
  const std::string text =
      fmt::format("[slm.sandbox_profiles.{}.{}]\n{} = {}\n", kScratchProfile, name.substr(0, dot),
                  name.substr(dot + 1), is_bare_word(value) ? toml_string(value) : value);
  const auto parsed = Slm::from_toml(text, "--set");
  if (!parsed.has_value())
    return std::unexpected(bad_value(name, value, parsed.error().errors.front()));
  const auto found = parsed->sandbox_profiles.find(kScratchProfile);
  SYMBIONT_CHECK(found != parsed->sandbox_profiles.end(), "the scratch profile was parsed");
  field->copy(profile, found->second);
  return {};
}

std::expected<void, Failure> apply_network(SandboxProfile& profile,
                                           const std::vector<std::string>& values) {
  NetworkPolicy& network = profile.network;
  for (const std::string& value : values) {
    const bool is_mode = value == "none" || value == "full";
    if (is_mode && values.size() > 1) {
      return std::unexpected(usage_failure(fmt::format("--net {} stands alone", value),
                                           "give it once, or only destinations"));
    }
    if (is_mode) {
      network.access_mode = value == "full" ? NetworkAccessMode::Full : NetworkAccessMode::None;
      network.allowed_destinations.clear();
      continue;
    }
    SYMBIONT_TRY(NetworkDestination destination, read_destination(value));
    if (network.access_mode != NetworkAccessMode::Restricted) network.allowed_destinations.clear();
    network.access_mode = NetworkAccessMode::Restricted;
    network.allowed_destinations.push_back(std::move(destination));
  }
  return {};
}

std::expected<std::filesystem::path, Failure> absolute_path(std::string_view option,
                                                            const std::string& text) {
  if (text.empty()) {
    return std::unexpected(usage_failure(fmt::format("{}: the path is empty", option)));
  }
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(text, error);
  // A ".." is the kernel's to resolve: behind a symbolic link it is not the folder before it.
  if (!error && std::ranges::find(path, std::filesystem::path("..")) != path.end())
    path = std::filesystem::weakly_canonical(path, error);
  if (error) {
    return std::unexpected(
        usage_failure(fmt::format("{} {}: {}", option, symbiont::quoted(text), error.message())));
  }
  path = path.lexically_normal();
  return path.has_filename() || path == "/" ? path : path.parent_path();
}

}  // namespace symbiont::cli
