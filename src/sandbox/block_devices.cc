#include "sandbox/block_devices.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/file.h"

namespace symbiont::sandbox {
namespace {

namespace fs = std::filesystem;

bool is_in_memory(const std::string& path) {
  struct statfs info{};
  if (::statfs(path.c_str(), &info) != 0) return false;
  return info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC;
}

std::string device_name(dev_t device) {
  return std::to_string(major(device)) + ":" + std::to_string(minor(device));
}

/// The disk that holds `device`, which may be a partition; limits are set on disks. Empty when
/// the kernel has no such block device.
std::string whole_disk(dev_t device) {
  constexpr std::size_t kNameBytes = 64;
  std::error_code error;
  const fs::path own = fs::canonical("/sys/dev/block/" + device_name(device), error);
  if (error) return {};
  if (!fs::exists(own / "partition", error)) return device_name(device);
  auto parent = read_file(own.parent_path() / "dev", kNameBytes);
  if (!parent.has_value()) return {};
  while (parent->ends_with('\n'))
    parent->pop_back();
  return *parent;
}

}  // namespace

BlockDevices find_block_devices(const std::vector<ViewEntry>& view) {
  BlockDevices found;
  for (const ViewEntry& entry : view) {
    struct stat info{};
    if (entry.kind != ViewKind::Tree || is_in_memory(entry.source)) continue;
    if (::stat(entry.source.c_str(), &info) != 0) continue;  // mounting it will say so
    found.written = found.written || entry.writable;
    const std::string disk = whole_disk(info.st_dev);
    if (disk.empty()) {
      found.incomplete = true;
    } else if (std::ranges::find(found.names, disk) == found.names.end()) {
      found.names.push_back(disk);
    }
  }
  return found;
}

}  // namespace symbiont::sandbox
