#include "sandbox/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "base/file.h"

namespace symbiont::sandbox {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

constexpr std::array<std::string_view, 5> kControllers = {"memory", "cpu", "cpuacct", "pids",
                                                          "blkio"};
constexpr std::uint64_t kCpuPeriodUs = 100'000;
constexpr std::uint64_t kMinQuotaUs = 1000;  // the kernel's own lower bound
constexpr std::size_t kMaxProcFileBytes = 1U << 20U;
constexpr std::string_view kPrefix = "symbiont-";

Status write_value(const fs::path& file, const std::string& value) {
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.is_valid()) return fail(errno_error("open '" + file.string() + "'"));
  return write_all(fd.get(), value, "'" + value + "' to '" + file.string() + "'");
}

std::string read_text(const fs::path& file) {
  return read_file(file, kMaxProcFileBytes).value_or(std::string());
}

std::uint64_t to_number(std::string_view text) {
  std::uint64_t value = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// Value of `key` in a "key value" file, 0 when absent.
std::uint64_t keyed(const fs::path& file, std::string_view key) {
  std::istringstream lines(read_text(file));
  std::string name;
  std::uint64_t value = 0;
  while (lines >> name >> value) {
    if (name == key) return value;
  }
  return 0;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);)
    parts.push_back(part);
  return parts;
}

/// This process's group in the hierarchy that holds `controller`; "" names version 2.
std::optional<std::string> own_group(std::string_view controller) {
  std::istringstream lines(read_text("/proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    for (const auto& name : split(line.substr(first + 1, second - first - 1) + ",", ',')) {
      if (name == controller) return line.substr(second + 1);
    }
  }
  return std::nullopt;
}

struct CgroupMount {
  fs::path point;
  std::string root;
  bool unified = false;
  std::vector<std::string> options;
};

std::vector<CgroupMount> cgroup_mounts() {
  std::vector<CgroupMount> mounts;
  std::istringstream lines(read_text("/proc/self/mountinfo"));
  for (std::string line; std::getline(lines, line);) {
    const auto dash = line.find(" - cgroup");
    if (dash == std::string::npos) continue;
    const auto left = split(line.substr(0, dash), ' ');
    const auto right = split(line.substr(dash + 3), ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    mounts.push_back({left[4], left[3], right[0] == "cgroup2", split(right[2], ',')});
  }
  return mounts;
}

fs::path group_directory(const CgroupMount& mount, const std::string& group) {
  std::string below = group;
  if (mount.root != "/" && below.starts_with(mount.root)) below.erase(0, mount.root.size());
  return mount.point / fs::path(below).relative_path();
}

/// Reason why no group can be made in `directory`, empty when one can.
std::string try_directory(const fs::path& directory) {
  const fs::path trial = directory / (std::string(kPrefix) + "probe-" + std::to_string(::getpid()));
  if (::mkdir(trial.c_str(), 0755) != 0)
    return errno_error("make a group in '" + directory.string() + "'").message();
  if (::rmdir(trial.c_str()) != 0) return errno_error("remove '" + trial.string() + "'").message();
  return {};
}

/// Whether children of a version 2 group may take processes. Not while it holds processes itself,
/// unless it is the real root, which alone has no type. Asking first matters: in a group in use the
/// kernel refuses "memory" but takes "cpu" and "pids", and that makes the group the root of a
/// threaded tree, whose children no process can enter (EOPNOTSUPP).
bool may_have_workers(const fs::path& directory) {
  const std::string type = read_text(directory / "cgroup.type");
  if (type.empty()) return true;
  const auto processes = read_file(directory / "cgroup.procs", kMaxProcFileBytes);
  return type == "domain\n" && processes.has_value() && processes->empty();
}

/// Enables what it can for children of a version 2 group.
std::set<std::string> delegated_controllers(const fs::path& directory) {
  std::set<std::string> enabled;
  for (const std::string name : {"memory", "cpu", "pids", "io"}) {
    if (!read_text(directory / "cgroup.controllers").contains(name)) continue;
    if (write_value(directory / "cgroup.subtree_control", "+" + name).has_value())
      enabled.insert(name);
  }
  return enabled;
}

void add_unified(CgroupHost& host, const CgroupMount& mount, const std::string& group) {
  // A group that holds processes cannot hand controllers on; its parent can, where systemd
  // delegated it.
  for (fs::path directory = group_directory(mount, group);
       directory.string().starts_with(mount.point.string()); directory = directory.parent_path()) {
    const bool usable = may_have_workers(directory) && try_directory(directory).empty();
    const auto enabled = usable ? delegated_controllers(directory) : std::set<std::string>{};
    for (const auto& name : enabled)
      host.controllers.try_emplace(name == "io" ? "blkio" : name,
                                   CgroupHost::Place{directory, true});
    if (enabled.contains("cpu"))
      host.controllers.try_emplace("cpuacct", CgroupHost::Place{directory, true});
    if (!enabled.empty() || directory == mount.point) return;
  }
}

}  // namespace

CgroupHost find_cgroups() {
  CgroupHost host;
  for (const CgroupMount& mount : cgroup_mounts()) {
    if (mount.unified) {
      if (const auto group = own_group("")) add_unified(host, mount, *group);
      continue;
    }
    for (const std::string_view controller : kControllers) {
      if (std::ranges::find(mount.options, controller) == mount.options.end()) continue;
      const auto group = own_group(controller);
      if (!group) continue;
      const fs::path directory = group_directory(mount, *group);
      const std::string why = try_directory(directory);
      if (why.empty()) {
        host.controllers.insert_or_assign(std::string(controller),
                                          CgroupHost::Place{directory, false});
      } else {
        host.why_not[std::string(controller)] = why;
      }
    }
  }
  for (const std::string_view controller : kControllers) {
    if (!host.has(controller))
      host.why_not.try_emplace(std::string(controller), "no writable cgroup has this controller");
  }
  return host;
}

namespace {

Status set_memory(const CgroupHost::Place& place, std::uint64_t bytes) {
  const std::string value = std::to_string(bytes);
  if (place.unified) {
    SYMBIONT_TRY_STATUS(write_value(place.directory / "memory.max", value));
    SYMBIONT_TRY_STATUS(write_value(place.directory / "memory.oom.group", "1"));
    const fs::path swap = place.directory / "memory.swap.max";
    return fs::exists(swap) ? write_value(swap, "0") : Status{};
  }
  const fs::path alone = place.directory / "memory.limit_in_bytes";
  const fs::path with_swap = place.directory / "memory.memsw.limit_in_bytes";
  if (!fs::exists(with_swap)) return write_value(alone, value);  // without swap accounting
  // The limit with swap never lies below the one without.
  const bool raises = bytes > to_number(read_text(alone));
  SYMBIONT_TRY_STATUS(write_value(raises ? with_swap : alone, value));
  return write_value(raises ? alone : with_swap, value);
}

Status set_cpu(const CgroupHost::Place& place, double cores) {
  const auto quota =
      std::max(kMinQuotaUs,
               static_cast<std::uint64_t>(std::llround(cores * static_cast<double>(kCpuPeriodUs))));
  if (place.unified) {
    return write_value(place.directory / "cpu.max",
                       std::to_string(quota) + " " + std::to_string(kCpuPeriodUs));
  }
  SYMBIONT_TRY_STATUS(
      write_value(place.directory / "cpu.cfs_period_us", std::to_string(kCpuPeriodUs)));
  return write_value(place.directory / "cpu.cfs_quota_us", std::to_string(quota));
}

Status set_io(const CgroupHost::Place& place, const std::string& device, std::uint64_t rate) {
  const std::string value = std::to_string(rate);
  if (place.unified) {
    return write_value(place.directory / "io.max", device + " rbps=" + value + " wbps=" + value);
  }
  const std::string line = device + " " + value;
  for (const char* file : {"blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device"})
    SYMBIONT_TRY_STATUS(write_value(place.directory / file, line));
  return {};
}

}  // namespace

Result<Cgroup> Cgroup::create(const CgroupHost& host, const std::string& name) {
  Cgroup group({});
  for (const auto& [controller, place] : host.controllers) {
    const fs::path directory = place.directory / name;
    if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
      return fail(errno_error("make cgroup '" + directory.string() + "'"));
    }
    group.directories_.insert_or_assign(controller, CgroupHost::Place{directory, place.unified});
  }
  return group;
}

Status Cgroup::set_limits(const CgroupLimits& limits) const {
  const auto& made = directories_;
  if (const auto at = made.find("memory"); at != made.end() && limits.memory_bytes > 0) {
    SYMBIONT_TRY_STATUS(set_memory(at->second, limits.memory_bytes));
  }
  if (const auto at = made.find("cpu"); at != made.end() && limits.cpu_cores > 0) {
    SYMBIONT_TRY_STATUS(set_cpu(at->second, limits.cpu_cores));
  }
  if (const auto at = made.find("pids"); at != made.end() && limits.processes > 0) {
    SYMBIONT_TRY_STATUS(
        write_value(at->second.directory / "pids.max", std::to_string(limits.processes)));
  }
  if (const auto at = made.find("blkio"); at != made.end() && limits.io_bytes_per_second > 0) {
    for (const std::string& device : limits.io_devices)
      SYMBIONT_TRY_STATUS(set_io(at->second, device, limits.io_bytes_per_second));
  }
  return {};
}

std::vector<pid_t> Cgroup::processes(std::size_t at_most) const {
  std::vector<pid_t> pids;
  for (const char* controller : {"pids", "memory", "cpu"}) {
    const auto at = directories_.find(controller);
    if (at == directories_.end()) continue;
    std::istringstream lines(read_text(at->second.directory / "cgroup.procs"));
    for (pid_t pid = 0; pids.size() < at_most && lines >> pid;)
      pids.push_back(pid);
    return pids;
  }
  return pids;
}

Cgroup& Cgroup::operator=(Cgroup&& other) noexcept {
  if (this != &other) {
    (void)remove();
    directories_ = std::exchange(other.directories_, {});
  }
  return *this;
}

Cgroup::~Cgroup() {
  (void)remove();
}  // a leftover is swept by the next launcher

Result<std::vector<UniqueFd>> Cgroup::entrances() const {
  std::vector<UniqueFd> opened;
  std::set<fs::path> found;  // in version 2 the controllers share one group
  for (const auto& [controller, place] : directories_) {
    if (!found.insert(place.directory).second) continue;
    const fs::path file = place.directory / "cgroup.procs";
    UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd.is_valid()) return fail(errno_error("open '" + file.string() + "'"));
    opened.push_back(std::move(fd));
  }
  return opened;
}

CgroupUsage Cgroup::usage() const {
  CgroupUsage usage;
  if (const auto at = directories_.find("memory"); at != directories_.end()) {
    const auto& [directory, unified] = at->second;
    usage.peak_memory_bytes =
        to_number(read_text(directory / (unified ? "memory.peak" : "memory.max_usage_in_bytes")));
    usage.oom_kills =
        keyed(directory / (unified ? "memory.events" : "memory.oom_control"), "oom_kill");
  }
  if (const auto at = directories_.find("cpuacct"); at != directories_.end()) {
    const auto& [directory, unified] = at->second;
    usage.cpu_time_us = unified ? keyed(directory / "cpu.stat", "usage_usec")
                                : to_number(read_text(directory / "cpuacct.usage")) / 1000;
  }
  if (const auto at = directories_.find("cpu"); at != directories_.end()) {
    const auto& [directory, unified] = at->second;
    usage.throttled_us = unified ? keyed(directory / "cpu.stat", "throttled_usec")
                                 : keyed(directory / "cpu.stat", "throttled_time") / 1000;
  }
  return usage;
}

std::uint64_t Cgroup::refused_tasks() const {
  const auto at = directories_.find("pids");
  return at == directories_.end() ? 0 : keyed(at->second.directory / "pids.events", "max");
}

Status Cgroup::remove() {
  const auto deadline = steady_clock::now() + std::chrono::seconds(1);
  Status status;
  for (const auto& [controller, place] : directories_) {
    while (::rmdir(place.directory.c_str()) != 0 && errno != ENOENT) {
      if (errno != EBUSY || steady_clock::now() > deadline) {
        status = fail(errno_error("remove cgroup '" + place.directory.string() + "'"));
        break;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
  directories_.clear();
  return status;
}

std::uint64_t process_start_time(pid_t pid) {
  const std::string stat = read_text("/proc/" + std::to_string(pid) + "/stat");
  const auto after_name = stat.rfind(") ");
  if (after_name == std::string::npos) return 0;
  const auto fields = split(stat.substr(after_name + 2), ' ');
  constexpr std::size_t kStartTime = 22 - 3;  // the name ends field 2
  return fields.size() > kStartTime ? to_number(fields[kStartTime]) : 0;
}

std::string cgroup_name(pid_t launcher, std::uint64_t start_time, std::uint64_t sequence) {
  return std::string(kPrefix) + std::to_string(launcher) + "-" + std::to_string(start_time) + "-" +
         std::to_string(sequence);
}

void sweep_stale_cgroups(const CgroupHost& host) {
  std::set<fs::path> parents;
  for (const auto& [controller, place] : host.controllers)
    parents.insert(place.directory);
  for (const fs::path& parent : parents) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(parent, error)) {
      const std::string name = entry.path().filename();
      const auto parts = split(name, '-');
      if (!name.starts_with(kPrefix) || parts.size() != 4) continue;
      const auto owner = static_cast<pid_t>(to_number(parts[1]));
      if (process_start_time(owner) == to_number(parts[2])) continue;
      (void)::rmdir(
          entry.path().c_str());  // EBUSY: its last process is still going; a later sweep gets it
    }
  }
}

}  // namespace symbiont::sandbox
