#ifndef SYMBIONT_SANDBOX_VIEW_H_
#define SYMBIONT_SANDBOX_VIEW_H_

// What a program sees of the host's files: an allow-list of mounts, made from a profile. Building
// one reads the host's tree and changes nothing.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/sandbox_profile.h"

#include "base/result.h"

namespace symbiont::sandbox {

enum class ViewKind : std::uint8_t {
  Tree,     ///< a directory or file of the host, at the same place inside
  Cover,    ///< an unreadable, empty object in place of `target`: a denied part of an allowed tree
  Symlink,  ///< `target` points to `source`
  Device,   ///< a device node of the host
  Proc,     ///< a new procfs that shows the sandbox's own processes only
  Scratch,  ///< the temporary files' tmpfs
};

struct ViewEntry {
  ViewKind kind = ViewKind::Tree;
  std::string source{};  ///< canonical path on the host; Symlink: what it points to
  std::string target{};  ///< absolute path inside
  bool directory = true;
  bool writable = false;
  bool executable = false;  ///< Tree: may be executed and mapped executable
  bool own = false;         ///< Tree: files of the launcher's user are the program's own
  bool operator==(const ViewEntry&) const = default;
};

inline constexpr std::size_t kMaxViewEntries = 200;

/// Entries in the order of mounting: a parent stands before its children. `program` is shown even
/// when no path of the policy holds it. Read paths may be executed, write paths may not.
/// InvalidArgument names a path that does not exist, is not absolute, is "/" or below /proc, or
/// lies in a denied one.
[[nodiscard]] Result<std::vector<ViewEntry>> build_view(const FilesystemPolicy& policy,
                                                        const std::filesystem::path& program);

/// Device nodes of GPUs on this host; empty when there are none.
[[nodiscard]] std::vector<ViewEntry> gpu_entries();

/// Whether `view` shows `path` (absolute, lexically normal), to write when `writing`. Follows the
/// view's own symlinks, not the host's.
[[nodiscard]] bool shows(const std::vector<ViewEntry>& view, std::string_view path, bool writing);

/// Whether `path` lies in a denied part of an allowed tree.
[[nodiscard]] bool is_covered(const std::vector<ViewEntry>& view, std::string_view path);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_VIEW_H_
