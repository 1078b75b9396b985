#ifndef SYMBIONT_SANDBOX_BLOCK_DEVICES_H_
#define SYMBIONT_SANDBOX_BLOCK_DEVICES_H_

#include <string>
#include <vector>

#include "sandbox/view.h"

namespace symbiont::sandbox {

struct BlockDevices {
  std::vector<std::string> names;  ///< "major:minor" of whole disks, each once
  bool incomplete = false;  ///< a tree is on a file system whose disk the kernel does not name
  bool written = false;     ///< a writable tree is on a disk
};

/// The disks behind the trees of `view`. File systems in memory have none and count for nothing.
[[nodiscard]] BlockDevices find_block_devices(const std::vector<ViewEntry>& view);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_BLOCK_DEVICES_H_
