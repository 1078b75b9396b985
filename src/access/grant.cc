#include "access/grant.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace symbiont::access {
namespace {

/// Without "." and "..", and without a slash at the end.
std::filesystem::path normal(const std::filesystem::path& path) {
  const std::filesystem::path lexical = path.lexically_normal();
  return lexical.has_filename() ? lexical : lexical.parent_path();
}

/// Whether `path` is `parent` or below it, by components.
bool within(const std::filesystem::path& path, const std::filesystem::path& parent) {
  const std::filesystem::path outer = normal(parent);
  const std::filesystem::path inner = normal(path);
  const auto mismatch = std::ranges::mismatch(outer, inner);
  return mismatch.in1 == outer.end();
}

bool each_within(const std::vector<std::filesystem::path>& paths,
                 const std::vector<std::filesystem::path>& allowed) {
  return std::ranges::all_of(paths, [&](const auto& path) {
    return std::ranges::any_of(allowed, [&](const auto& parent) { return within(path, parent); });
  });
}

template <typename T>
bool subset(const std::vector<T>& part, const std::vector<T>& whole) {
  return std::ranges::all_of(
      part, [&](const T& each) { return std::ranges::find(whole, each) != whole.end(); });
}

/// An empty list stands for the runner's own baseline, which may be wider or narrower than any
/// list.
bool looser_syscalls(const std::vector<std::string>& base, const std::vector<std::string>& wanted) {
  return base.empty() != wanted.empty() || !subset(wanted, base);
}

bool looser_gpu(const GpuAccess& base, const GpuAccess& wanted) {
  if (wanted.mode != base.mode) return wanted.mode > base.mode;
  return wanted.mode == GpuAccessMode::Shared && wanted.max_memory_mb > base.max_memory_mb;
}

/// 0 means "not limited" for bandwidth: the loosest of all.
bool looser_bandwidth(std::uint64_t base, std::uint64_t wanted) {
  return base != 0 && (wanted == 0 || wanted > base);
}

}  // namespace

std::string first_loosened_field(const SandboxProfile& base, const SandboxProfile& wanted) {
  const auto& [b, w] = std::pair<const SandboxProfile&, const SandboxProfile&>(base, wanted);
  const std::array<std::pair<const char*, bool>, 21> fields = {{
      {"resources.max_memory_mb", w.resources.max_memory_mb > b.resources.max_memory_mb},
      {"resources.max_cpu_cores", !(w.resources.max_cpu_cores <= b.resources.max_cpu_cores)},
      {"resources.max_disk_mb", w.resources.max_disk_mb > b.resources.max_disk_mb},
      {"resources.gpu_access", looser_gpu(b.resources.gpu_access, w.resources.gpu_access)},
      {"resources.max_io_bandwidth_mbps",
       w.resources.max_io_bandwidth_mbps > b.resources.max_io_bandwidth_mbps},
      {"filesystem.read_paths", !each_within(w.filesystem.read_paths, b.filesystem.read_paths)},
      {"filesystem.write_paths", !each_within(w.filesystem.write_paths, b.filesystem.write_paths)},
      {"filesystem.denied_paths",
       !each_within(b.filesystem.denied_paths, w.filesystem.denied_paths)},
      {"filesystem.allow_temp_files",
       w.filesystem.allow_temp_files && !b.filesystem.allow_temp_files},
      {"filesystem.max_file_size_mb",
       w.filesystem.max_file_size_mb > b.filesystem.max_file_size_mb},
      {"process_limits.max_child_processes",
       w.process_limits.max_child_processes > b.process_limits.max_child_processes},
      {"process_limits.max_execution_time_seconds",
       w.process_limits.max_execution_time_seconds > b.process_limits.max_execution_time_seconds},
      {"process_limits.allowed_syscalls",
       looser_syscalls(b.process_limits.allowed_syscalls, w.process_limits.allowed_syscalls)},
      {"process_limits.process_priority",
       w.process_limits.process_priority < b.process_limits.process_priority},
      {"network.access_mode", w.network.access_mode > b.network.access_mode},
      {"network.allowed_destinations",
       b.network.access_mode != NetworkAccessMode::Full &&
           !subset(w.network.allowed_destinations, b.network.allowed_destinations)},
      {"network.max_bandwidth_mbps",
       looser_bandwidth(b.network.max_bandwidth_mbps, w.network.max_bandwidth_mbps)},
      {"security.strict_syscall_filtering",
       b.security.strict_syscall_filtering && !w.security.strict_syscall_filtering},
      {"security.disable_debugging", b.security.disable_debugging && !w.security.disable_debugging},
      {"security.enable_audit_logging",
       b.security.enable_audit_logging && !w.security.enable_audit_logging},
      {"security.require_encryption",
       b.security.require_encryption && !w.security.require_encryption},
  }};
  const auto* const at =
      std::ranges::find_if(fields, [](const auto& field) { return field.second; });
  return at == fields.end() ? std::string() : at->first;
}

std::expected<Grant, ModelCatalogError> check(const ModelCatalog& catalog,
                                              std::string_view agent,
                                              std::string_view model_id,
                                              std::optional<std::string_view> profile_override) {
  if (auto allowed = catalog.validate_model_access(model_id, agent); !allowed.has_value()) {
    return std::unexpected(std::move(allowed).error());
  }
  const Model& model = *catalog.get_model(model_id);
  const SandboxProfile& own = *catalog.get_sandbox_profile(model_id);
  if (!profile_override) return Grant(std::string(agent), model, own);
  const SandboxProfile* wanted = catalog.find_sandbox_profile(*profile_override);
  if (wanted == nullptr) {
    return std::unexpected<ModelCatalogError>(ModelCatalogError::SandboxProfileNotFound{
        std::string(*profile_override), "the request", ""});
  }
  const std::string loosened = first_loosened_field(own, *wanted);
  if (!loosened.empty() && !catalog.allows_runtime_overrides()) {
    return std::unexpected<ModelCatalogError>(ModelCatalogError::AccessDenied{
        std::string(agent), model.id,
        "profile '" + wanted->name + "' loosens " + loosened + " of profile '" + own.name +
            "' and slm.allow_runtime_overrides is false"});
  }
  return Grant(std::string(agent), model, *wanted);
}

}  // namespace symbiont::access
