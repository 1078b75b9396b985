#include <seccomp.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <utility>

#include <fmt/core.h>

#include "base/strings.h"
#include "config/address.h"
#include "config/limits.h"
#include "config/readers.h"

namespace symbiont::config {
namespace {

constexpr std::array<std::string_view, 3> kGpuModes = {"None", "Shared", "Exclusive"};
constexpr std::array<std::string_view, 3> kNetworkModes = {"None", "Restricted", "Full"};
constexpr std::array<std::string_view, 4> kProtocols = {"TCP", "UDP", "HTTP", "HTTPS"};

// "None", "Exclusive" or { Shared = { max_memory_mb = N } }.
void read_gpu_access(TableReader& resources, GpuAccess& into) {
  const toml::node* node = resources.find("gpu_access");
  if (node == nullptr) return;
  constexpr std::string_view kShape = "write { Shared = { max_memory_mb = N } }";
  if (!node->is_table()) {
    if (resources.read_enum("gpu_access", into.mode, kGpuModes) &&
        into.mode == GpuAccessMode::Shared) {
      resources.error(*node, "gpu_access", fmt::format("Shared needs a size: {}", kShape));
    }
    return;
  }
  TableReader reader(resources.context(), *node->as_table(), resources.path_of("gpu_access"));
  const toml::table* shared = reader.find_table("Shared");
  reader.finish();
  if (shared == nullptr) {
    if (node->as_table()->empty()) resources.error(*node, "gpu_access", std::string(kShape));
    return;
  }
  TableReader inner(resources.context(), *shared, reader.path_of("Shared"));
  into.mode = GpuAccessMode::Shared;
  if (inner.require("max_memory_mb") != nullptr) {
    inner.get("max_memory_mb", into.max_memory_mb, {1, kMaxMegabytes, "MiB"});
  }
  inner.finish();
}

void read_resources(TableReader& reader, ResourceLimits& into) {
  reader.get("max_memory_mb", into.max_memory_mb, {1, kMaxMegabytes, "MiB"});
  reader.get("max_cpu_cores", into.max_cpu_cores, {kMinCpuCores, kMaxCpuCores});
  reader.get("max_disk_mb", into.max_disk_mb, {0, kMaxMegabytes, "MiB"});
  read_gpu_access(reader, into.gpu_access);
  reader.get("max_io_bandwidth_mbps", into.max_io_bandwidth_mbps, {1, kMaxBandwidthMbps, "Mbit/s"});
}

void read_sandbox_paths(TableReader& reader,
                        std::string_view key,
                        std::vector<std::filesystem::path>& into) {
  std::vector<std::filesystem::path> paths;
  const bool found = reader.read_texts(
      key, kMaxListItems,
      [&](const std::string& text, const toml::node& at, const std::string& item) {
        const std::filesystem::path path(text);
        const bool climbs = std::ranges::find(path, std::filesystem::path("..")) != path.end();
        if (path.is_absolute() && !climbs) {
          const std::filesystem::path normal = path.lexically_normal();
          paths.push_back(normal.has_filename() || normal == "/" ? normal : normal.parent_path());
          return;
        }
        reader.context().problems.error(
            place_of(at), item,
            fmt::format("{} must be an absolute path{}", symbiont::quoted(text),
                        climbs ? " without \"..\"" : ""));
      });
  if (found) into = std::move(paths);
}

void read_filesystem(TableReader& reader, FilesystemPolicy& into) {
  read_sandbox_paths(reader, "read_paths", into.read_paths);
  read_sandbox_paths(reader, "write_paths", into.write_paths);
  read_sandbox_paths(reader, "denied_paths", into.denied_paths);
  reader.get("allow_temp_files", into.allow_temp_files);
  reader.get("max_file_size_mb", into.max_file_size_mb, {1, kMaxMegabytes, "MiB"});
}

/// Names of all system calls of this machine.
const std::vector<std::string>& syscall_names() {
  constexpr int kHighestNumber = 600;
  static const std::vector<std::string> kAll = [] {
    std::vector<std::string> names;
    for (int number = 0; number < kHighestNumber; ++number) {
      const std::unique_ptr<char, decltype(&std::free)> text(
          seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number), &std::free);
      if (text != nullptr) names.emplace_back(text.get());
    }
    return names;
  }();
  return kAll;
}

std::string closest_syscall(Problems& problems, std::string_view name) {
  const std::vector<std::string_view> names(syscall_names().begin(), syscall_names().end());
  return problems.suggest(name, names);
}

void read_process_limits(TableReader& reader, ProcessLimits& into) {
  std::uint64_t children = into.max_child_processes;
  reader.get("max_child_processes", children, {0, kMaxChildProcesses});
  into.max_child_processes = static_cast<std::uint32_t>(children);
  reader.get("max_execution_time_seconds", into.max_execution_time_seconds,
             {1, kMaxExecutionSeconds, "seconds"});
  std::vector<std::string> syscalls;
  const bool found = reader.read_texts(
      "allowed_syscalls", kMaxListItems,
      [&](std::string name, const toml::node& at, const std::string& key) {
        if (seccomp_syscall_resolve_name(name.c_str()) == __NR_SCMP_ERROR) {
          reader.context().problems.error(
              place_of(at), key, fmt::format("no system call is called {}", symbiont::quoted(name)),
              closest_syscall(reader.context().problems, name));
          return;
        }
        syscalls.push_back(std::move(name));
      });
  if (found) into.allowed_syscalls = std::move(syscalls);
  reader.get("process_priority", into.process_priority, {kMinPriority, kMaxPriority});
}

void read_destination(TableReader& reader, NetworkDestination& into) {
  if (reader.require("host") != nullptr && reader.get("host", into.host, kMaxNameBytes)) {
    const auto problem = find_host_problem(into.host);
    if (problem) reader.error(*reader.table().get("host"), "host", *problem);
  }
  std::uint64_t port = into.port;
  if (reader.require("port") != nullptr) reader.get("port", port, {1, 65'535});
  into.port = static_cast<std::uint16_t>(port);
  reader.read_enum("protocol", into.protocol, kProtocols);
  reader.finish();
}

void read_network(TableReader& reader, NetworkPolicy& into) {
  reader.read_enum("access_mode", into.access_mode, kNetworkModes);
  if (const toml::array* array = reader.find_array("allowed_destinations"); array != nullptr) {
    if (array->size() > kMaxListItems) {
      reader.error(*array, "allowed_destinations",
                   fmt::format("has more than {} items", kMaxListItems));
      return;
    }
    std::size_t index = 0;
    for (const toml::node& node : *array) {
      const std::string key =
          fmt::format("{}[{}]", reader.path_of("allowed_destinations"), index++);
      if (!node.is_table()) {
        reader.context().problems.error(place_of(node), key,
                                        "must be a table { host, port, protocol }");
        continue;
      }
      TableReader destination(reader.context(), *node.as_table(), key);
      read_destination(destination, into.allowed_destinations.emplace_back());
    }
    if (!array->empty() && into.access_mode != NetworkAccessMode::Restricted) {
      reader.context().problems.warning(
          place_of(*array), reader.path_of("allowed_destinations"),
          fmt::format("has no effect while access_mode is {}; set it to \"Restricted\"",
                      kNetworkModes[std::to_underlying(into.access_mode)]));
    }
  }
  reader.get("max_bandwidth_mbps", into.max_bandwidth_mbps, {0, kMaxBandwidthMbps, "Mbit/s"});
}

void read_security(TableReader& reader, SecuritySettings& into) {
  reader.get("strict_syscall_filtering", into.strict_syscall_filtering);
  reader.get("disable_debugging", into.disable_debugging);
  reader.get("enable_audit_logging", into.enable_audit_logging);
  reader.get("require_encryption", into.require_encryption);
}

template <typename Part>
void read_part(TableReader& profile,
               std::string_view key,
               void (*read)(TableReader&, Part&),
               Part& into) {
  const toml::table* table = profile.find_table(key);
  if (table == nullptr) return;
  TableReader reader(profile.context(), *table, profile.path_of(key));
  read(reader, into);
  reader.finish();
}

void check_disk(TableReader& reader, const toml::table& table, const SandboxProfile& profile) {
  if (profile.resources.max_disk_mb != 0 || !profile.filesystem.allow_temp_files) return;
  const toml::node* at = table["resources"]["max_disk_mb"].node();
  reader.context().problems.error(place_of(at != nullptr ? *at : table),
                                  reader.path() + ".resources.max_disk_mb",
                                  "must not be 0 while filesystem.allow_temp_files is true");
}

}  // namespace

void read_profiles(TableReader& slm, Slm& into) {
  const toml::table* profiles = slm.find_table("sandbox_profiles");
  if (profiles == nullptr) return;
  TableReader reader(slm.context(), *profiles, slm.path_of("sandbox_profiles"));
  for (const auto& [name, node] : *profiles) {
    const toml::table* table = reader.find_table(name.str());
    if (table == nullptr) continue;
    if (!check_text(slm.context(), node, reader.path_of(name.str()), name.str(), kMaxNameBytes))
      continue;
    TableReader parts(slm.context(), *table, reader.path_of(name.str()));
    SandboxProfile profile;
    profile.name = name.str();
    read_part(parts, "resources", read_resources, profile.resources);
    read_part(parts, "filesystem", read_filesystem, profile.filesystem);
    read_part(parts, "process_limits", read_process_limits, profile.process_limits);
    read_part(parts, "network", read_network, profile.network);
    read_part(parts, "security", read_security, profile.security);
    parts.finish();
    check_disk(parts, *table, profile);
    into.sandbox_profiles.emplace(profile.name, std::move(profile));
  }
}

}  // namespace symbiont::config
