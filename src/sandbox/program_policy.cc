// From a profile and a command to the policy of any program.

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "sandbox/block_devices.h"
#include "sandbox/listed_syscalls.h"
#include "sandbox/policy.h"

namespace symbiont::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMiB = 1U << 20U;
constexpr std::uint64_t kMinInodes = 1024;
constexpr std::uint64_t kBytesPerInode = 16U << 10U;
constexpr std::uint64_t kBytesPerMegabit = 1'000'000 / 8;
constexpr const char* kDefaultPath = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

Result<fs::path> find_command(const std::string& name) {
  if (name.empty()) return fail(ErrorCode::InvalidArgument, "the command is empty");
  if (name.contains('/')) {
    std::error_code error;
    fs::path path = fs::absolute(name, error);
    if (!error && ::access(path.c_str(), X_OK) == 0 && !fs::is_directory(path, error)) return path;
    return fail(ErrorCode::InvalidArgument, "command '" + name + "': not an executable file");
  }
  // NOLINTNEXTLINE(concurrency-mt-unsafe): read only, and this program never sets it
  const char* variable = std::getenv("PATH");
  std::string places = variable == nullptr ? kDefaultPath : variable;
  places += ':';
  for (std::size_t begin = 0, end = 0; (end = places.find(':', begin)) != std::string::npos;
       begin = end + 1) {
    fs::path candidate = fs::path(places.substr(begin, end - begin)) / name;
    std::error_code error;
    if (candidate.is_absolute() && ::access(candidate.c_str(), X_OK) == 0 &&
        !fs::is_directory(candidate, error))
      return candidate;
  }
  return fail(ErrorCode::InvalidArgument, "command '" + name + "' is not in PATH");
}

void set_default(std::vector<std::string>& environment, std::string_view name, std::string value) {
  const std::string prefix = std::string(name) + "=";
  const bool present = std::ranges::any_of(
      environment, [&](const std::string& entry) { return entry.starts_with(prefix); });
  if (!present) environment.push_back(prefix + std::move(value));
}

std::vector<std::string> environment_for(const SandboxProfile& profile,
                                         const SandboxCommand& command) {
  std::vector<std::string> environment = command.environment;
  const std::string temporary = profile.filesystem.allow_temp_files ? "/tmp" : "/";
  set_default(environment, "PATH", kDefaultPath);
  set_default(environment, "HOME", temporary);
  set_default(environment, "LANG", "C.UTF-8");
  if (profile.filesystem.allow_temp_files) set_default(environment, "TMPDIR", temporary);
  if (profile.network.access_mode == NetworkAccessMode::Restricted) {
    const std::string proxy = "http://127.0.0.1:" + std::to_string(kProxyPort);
    for (const char* name :
         {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"})
      set_default(environment, name, proxy);
  }
  return environment;
}

Status check_command(const SandboxCommand& command) {
  if (command.argv.empty()) return fail(ErrorCode::InvalidArgument, "the command is empty");
  std::size_t bytes = 0;
  for (const auto* words : {&command.argv, &command.environment}) {
    for (const std::string& word : *words) {
      bytes += word.size() + 1;
      if (word.contains('\0'))
        return fail(ErrorCode::InvalidArgument, "the command holds a NUL byte");
    }
  }
  for (const std::string& entry : command.environment) {
    if (!entry.contains('=') || entry.starts_with('='))
      return fail(ErrorCode::InvalidArgument,
                  "environment '" + entry.substr(0, entry.find('=')) + "': is not NAME=value");
  }
  if (bytes > kMaxCommandBytes)
    return fail(ErrorCode::InvalidArgument, "command and environment have " +
                                                std::to_string(bytes) + " bytes; the limit is " +
                                                std::to_string(kMaxCommandBytes));
  return {};
}

/// A socket of the host's network would lead past the policy, and so would a datagram socket, which
/// can be pointed anywhere. Connected pairs, which shells and daemons use as pipes, lead nowhere.
Status check_streams(const SandboxOptions& options, NetworkAccessMode network) {
  if (network == NetworkAccessMode::Full) return {};
  const std::pair<const char*, int> streams[] = {
      {"input", options.stdin_fd}, {"output", options.stdout_fd}, {"error", options.stderr_fd}};
  for (const auto& [name, fd] : streams) {
    int domain = 0;
    int type = 0;
    socklen_t size = sizeof(int);
    if (fd < 0 || ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) continue;
    (void)::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);  // 0 when not told: refused
    sockaddr_storage peer{};
    socklen_t peer_size = sizeof peer;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the sockets interface
    auto* any = reinterpret_cast<sockaddr*>(&peer);
    const bool connected = ::getpeername(fd, any, &peer_size) == 0;
    if (domain == AF_UNIX && connected && (type == SOCK_STREAM || type == SOCK_SEQPACKET)) continue;
    return fail(ErrorCode::InvalidArgument,
                std::string("standard ") + name +
                    " is a socket that leads past the network policy; pass a pipe, as in: cat | "
                    "symbiont sandbox exec ...");
  }
  return {};
}

/// The caller's directory, when the view shows that very directory and not one of its own there.
std::string inherited_directory(const std::vector<ViewEntry>& view) {
  std::error_code error;
  const std::string here = fs::current_path(error).string();
  const bool from_host = std::ranges::any_of(view, [&](const ViewEntry& entry) {
    return entry.kind == ViewKind::Tree &&
           (here == entry.target || here.starts_with(entry.target + "/"));
  });
  return !error && from_host && shows(view, here, false) ? here : "/";
}

Result<std::string> working_directory(const SandboxCommand& command,
                                      const std::vector<ViewEntry>& view) {
  const fs::path& asked = command.working_directory;
  if (asked.empty()) return inherited_directory(view);
  if (asked.is_absolute() && shows(view, asked.lexically_normal().string(), false))
    return asked.lexically_normal().string();
  return fail(ErrorCode::InvalidArgument, "working directory '" + asked.string() +
                                              "': not visible inside; add it to read_paths");
}

void set_limits(Policy& policy, const SandboxProfile& profile) {
  policy.memory_bytes = profile.resources.max_memory_mb * kMiB;
  policy.cpu_cores = profile.resources.max_cpu_cores;
  policy.scratch_bytes =
      profile.filesystem.allow_temp_files ? profile.resources.max_disk_mb * kMiB : 0;
  policy.scratch_inodes = std::max(kMinInodes, policy.scratch_bytes / kBytesPerInode);
  policy.max_file_bytes = profile.filesystem.max_file_size_mb * kMiB;
  policy.child_processes = profile.process_limits.max_child_processes;
  policy.threads = kThreadsPerProcess * (1 + policy.child_processes);
  policy.nice = profile.process_limits.process_priority;
  policy.allowed_syscalls = profile.process_limits.allowed_syscalls;
  policy.kill_on_violation = profile.security.strict_syscall_filtering;
  policy.undumpable = profile.security.disable_debugging;
  policy.network = profile.network.access_mode;
  policy.io_bytes_per_second = profile.resources.max_io_bandwidth_mbps * kBytesPerMegabit;
  policy.gpu_wanted = profile.resources.gpu_access.mode != GpuAccessMode::None;
}

}  // namespace

Result<Policy> program_policy(const SandboxProfile& profile,
                              const SandboxCommand& command,
                              const SandboxOptions& options) {
  SYMBIONT_TRY_STATUS(check_command(command));
  SYMBIONT_TRY_STATUS(check_streams(options, profile.network.access_mode));
  SYMBIONT_TRY_STATUS(check_listed_syscalls(profile.process_limits.allowed_syscalls,
                                            profile.security.disable_debugging, ListOf::Program));
  Policy policy;
  policy.root = RootKind::View;
  SYMBIONT_TRY(policy.program, find_command(command.argv.front()));
  policy.arguments = command.argv;
  SYMBIONT_TRY(policy.view, build_view(profile.filesystem, policy.program));
  set_limits(policy, profile);
  if (policy.gpu_wanted) {
    const std::vector<ViewEntry> nodes = gpu_entries();
    policy.view.insert(policy.view.begin(), nodes.begin(), nodes.end());
  }
  BlockDevices disks = find_block_devices(policy.view);
  policy.io_devices = std::move(disks.names);
  policy.io_incomplete = disks.incomplete;
  policy.io_written = disks.written;
  policy.environment = environment_for(profile, command);
  SYMBIONT_TRY(policy.working_directory, working_directory(command, policy.view));
  policy.strict = options.strict;
  policy.report_files = options.report_files;
  return policy;
}

}  // namespace symbiont::sandbox
