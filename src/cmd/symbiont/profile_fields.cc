// --set FIELD=VALUE: one field of a sandbox profile for one run.

#include <array>
#include <charconv>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/strings.h"
#include "cmd/symbiont/options.h"

namespace symbiont::cli {
namespace {

template <typename T>
bool parse_into(T& field, std::string_view text) {
  const char* end = text.data() + text.size();
  T value{};
  const auto parsed = std::from_chars(std::to_address(text.begin()), end, value);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return false;
  field = value;
  return true;
}

bool parse_into(bool& field, std::string_view text) {
  if (text != "true" && text != "false") return false;
  field = text == "true";
  return true;
}

struct Field {
  std::string_view name;
  std::string_view expects;
  bool (*set)(SandboxProfile&, std::string_view);
};

constexpr std::string_view kWhole = "a whole number";
constexpr std::string_view kBool = "true or false";

// Lists (paths, destinations, system calls) belong into a configuration file, where they can be
// read.
#define SYMBIONT_FIELD(path, expects)                                                           \
  Field {                                                                                       \
    #path, expects, [](SandboxProfile& p, std::string_view v) { return parse_into(p.path, v); } \
  }
constexpr std::array kFields = {
    SYMBIONT_FIELD(resources.max_memory_mb, kWhole),
    SYMBIONT_FIELD(resources.max_cpu_cores, "a number"),
    SYMBIONT_FIELD(resources.max_disk_mb, kWhole),
    SYMBIONT_FIELD(resources.max_io_bandwidth_mbps, kWhole),
    SYMBIONT_FIELD(filesystem.allow_temp_files, kBool),
    SYMBIONT_FIELD(filesystem.max_file_size_mb, kWhole),
    SYMBIONT_FIELD(process_limits.max_child_processes, kWhole),
    SYMBIONT_FIELD(process_limits.max_execution_time_seconds, kWhole),
    SYMBIONT_FIELD(process_limits.process_priority, "a whole number, -20 to 19"),
    SYMBIONT_FIELD(network.max_bandwidth_mbps, kWhole),
    SYMBIONT_FIELD(security.strict_syscall_filtering, kBool),
    SYMBIONT_FIELD(security.disable_debugging, kBool),
    SYMBIONT_FIELD(security.enable_audit_logging, kBool),
    SYMBIONT_FIELD(security.require_encryption, kBool),
};
#undef SYMBIONT_FIELD

Failure unknown_field(std::string_view name) {
  std::vector<std::string_view> names;
  std::string all;
  for (const Field& field : kFields) {
    names.push_back(field.name);
    all += all.empty() ? "" : ", ";
    all += field.name;
  }
  const std::string_view near = closest_match(name, names);
  return usage_failure(
      fmt::format("--set: {} is no field that can be set here", quoted(name)),
      near.empty() ? fmt::format("one of {}", all) : fmt::format("did you mean '{}'?", near));
}

}  // namespace

std::expected<void, Failure> set_profile_field(SandboxProfile& profile,
                                               std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) {
    return std::unexpected(usage_failure(fmt::format("--set: {} has no '='", quoted(assignment)),
                                         "as in --set resources.max_memory_mb=1024"));
  }
  const std::string_view name = assignment.substr(0, equals);
  const std::string_view value = assignment.substr(equals + 1);
  for (const Field& field : kFields) {
    if (field.name != name) continue;
    if (field.set(profile, value)) return {};
    return std::unexpected(
        usage_failure(fmt::format("--set {}: {} is not {}", name, quoted(value), field.expects)));
  }
  return std::unexpected(unknown_field(name));
}

}  // namespace symbiont::cli
