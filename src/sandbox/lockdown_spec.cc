#include "sandbox/lockdown_spec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ranges>
#include <utility>

namespace symbiont::sandbox {
namespace {

constexpr std::size_t kFields = 13;
constexpr std::size_t kMaxExtraSyscalls = 512;

}  // namespace

std::string encode(const LockdownSpec& spec) {
  const std::array<std::uint64_t, kFields> values = {spec.uid,
                                                     spec.gid,
                                                     spec.change_identity ? 1U : 0U,
                                                     spec.scratch_bytes,
                                                     spec.scratch_inodes,
                                                     spec.max_file_bytes,
                                                     spec.data_bytes,
                                                     spec.cpu_seconds,
                                                     spec.max_processes,
                                                     spec.undumpable ? 1U : 0U,
                                                     spec.kill_on_violation ? 1U : 0U,
                                                     spec.landlock ? 1U : 0U,
                                                     spec.own_namespaces ? 1U : 0U};
  std::string text;
  for (const std::uint64_t value : values)
    text += std::to_string(value) + " ";
  for (const int number : spec.extra_syscalls)
    text += std::to_string(number) + " ";
  return text;
}

Result<LockdownSpec> decode_lockdown_spec(std::string_view text) {
  std::vector<std::uint64_t> values;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    std::uint64_t value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc{} || next == end || *next != ' ' ||
        values.size() > kFields + kMaxExtraSyscalls) {
      return fail(ErrorCode::InvalidArgument, "malformed lockdown specification");
    }
    values.push_back(value);
    at = next + 1;
  }
  if (values.size() < kFields)
    return fail(ErrorCode::InvalidArgument, "lockdown specification is missing or too short");
  const bool fit =
      std::in_range<uid_t>(values[0]) && std::in_range<gid_t>(values[1]) &&
      std::in_range<std::uint32_t>(values[8]) &&
      std::ranges::all_of(values | std::views::drop(kFields), std::in_range<int, std::uint64_t>);
  if (!fit)
    return fail(ErrorCode::InvalidArgument, "number in a lockdown specification is too large");
  LockdownSpec spec;
  spec.uid = static_cast<uid_t>(values[0]);
  spec.gid = static_cast<gid_t>(values[1]);
  spec.change_identity = values[2] != 0;
  spec.scratch_bytes = values[3];
  spec.scratch_inodes = values[4];
  spec.max_file_bytes = values[5];
  spec.data_bytes = values[6];
  spec.cpu_seconds = values[7];
  spec.max_processes = static_cast<std::uint32_t>(values[8]);
  spec.undumpable = values[9] != 0;
  spec.kill_on_violation = values[10] != 0;
  spec.landlock = values[11] != 0;
  spec.own_namespaces = values[12] != 0;
  for (std::size_t i = kFields; i < values.size(); ++i)
    spec.extra_syscalls.push_back(static_cast<int>(values[i]));
  return spec;
}

}  // namespace symbiont::sandbox
