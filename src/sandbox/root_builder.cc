#include "sandbox/root_builder.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstring>

// sys/mount.h of glibc 2.36 and linux/mount.h do not go together.
extern "C" int umount2(const char* target, int flags) noexcept;
extern "C" int mount(const char* source,
                     const char* target,
                     const char* type,
                     unsigned long flags,  // NOLINT(google-runtime-int): the C library's type
                     const void* data) noexcept;

namespace symbiont::sandbox {
namespace {

constexpr const char* kMountPoint = "/tmp";
constexpr unsigned long kPlainFlags = 2 | 4 | 8;  // NOLINT: MS_NOSUID | MS_NODEV | MS_NOEXEC
constexpr unsigned long kRemountReadOnly =
    32 | 4096 | 1;          // NOLINT: MS_REMOUNT | MS_BIND | MS_RDONLY
constexpr int kDetach = 2;  // MNT_DETACH

int sys_open_tree(int directory, const char* path, unsigned flags) {
  return static_cast<int>(::syscall(SYS_open_tree, directory, path, flags));
}

int sys_openat2(int directory, const char* path, std::uint64_t flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = flags;
  how.resolve = resolve;
  return static_cast<int>(::syscall(SYS_openat2, directory, path, &how, sizeof how));
}

/// Makes every directory above `path`, which is relative to the root being built.
void make_parents(int root, const char* path) {
  char part[PATH_MAX];
  const std::size_t length = std::strlen(path);
  if (length >= sizeof part) return;
  for (std::size_t i = 1; i < length; ++i) {
    if (path[i] != '/') continue;
    std::memcpy(part, path, i);
    part[i] = '\0';
    // What is already there, made before or brought by a mount, is as good.
    (void)::mkdirat(root, part, 0755);
  }
}

/// The place of a mount inside, made when it is not there. Links on the way cannot lead out.
int make_place(int root, const PlannedEntry& entry) {
  const char* relative = entry.target + 1;
  make_parents(root, relative);
  if (entry.directory) {
    (void)::mkdirat(root, relative, 0755);
  } else {
    const int made = ::openat(root, relative, O_CREAT | O_EXCL | O_CLOEXEC | O_WRONLY, 0444);
    if (made >= 0) ::close(made);
  }
  return sys_openat2(root, relative, O_PATH | O_CLOEXEC, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int restrict_mount(int tree, std::uint64_t set, int map_user_ns) {
  mount_attr attributes{};
  attributes.attr_set = set;
  if (map_user_ns >= 0) {
    attributes.attr_set |= MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<unsigned>(map_user_ns);
  }
  // One mount is mapped at a time: what is mounted below it may not be mappable.
  const unsigned flags = AT_EMPTY_PATH | (map_user_ns >= 0 ? 0U : unsigned{AT_RECURSIVE});
  return static_cast<int>(
      ::syscall(SYS_mount_setattr, tree, "", flags, &attributes, sizeof attributes));
}

/// What covers are copies of lies on the root itself: before Linux 6.15 a mount can be copied from
/// an attached one only. Names with nothing to see: a directory nobody may enter, a file nobody may
/// open.
constexpr const char* kCovers = ".covers";

int make_covers(int root) {
  if (::mkdirat(root, kCovers, 0700) != 0) return -1;
  const int covers = ::openat(root, kCovers, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (covers < 0) return -1;
  const int file = ::openat(covers, "file", O_CREAT | O_EXCL | O_CLOEXEC | O_WRONLY, 0);
  const bool made = file >= 0 && ::mkdirat(covers, "directory", 0) == 0;
  if (file >= 0) ::close(file);
  if (made) return covers;
  ::close(covers);
  return -1;
}

/// The copies stay; their originals need no name.
bool remove_covers(int root, int covers) {
  const bool removed = ::unlinkat(covers, "file", 0) == 0 &&
                       ::unlinkat(covers, "directory", AT_REMOVEDIR) == 0 &&
                       ::unlinkat(root, kCovers, AT_REMOVEDIR) == 0;
  ::close(covers);
  return removed;
}

int attach(int tree, int place) {
  return static_cast<int>(::syscall(SYS_move_mount, tree, "", place, "",
                                    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

const char* mount_new(int root, const PlannedEntry& entry, const char* type, const char* data) {
  const int place = make_place(root, entry);
  if (place < 0) return entry.failed;
  ::close(place);
  // By name: the place was just made on our own tmpfs, and no link leads there.
  return ::mount("symbiont", entry.target + 1, type, kPlainFlags, data) == 0 ? nullptr
                                                                             : entry.failed;
}

const char* add_entry(int root, int cover, const PlannedEntry& entry, const char* scratch_data) {
  switch (entry.kind) {
    case ViewKind::Scratch:
      return mount_new(root, entry, "tmpfs", scratch_data);
    case ViewKind::Proc:
      return mount_new(root, entry, "proc", "subset=pid");
    case ViewKind::Symlink: {
      make_parents(root, entry.target + 1);
      if (::symlinkat(entry.source, root, entry.target + 1) == 0 || errno == EEXIST) return nullptr;
      // A link below a tree that was mounted read-only is there already, or cannot be.
      return errno == EROFS || errno == EACCES || errno == ENOENT ? nullptr : entry.failed;
    }
    case ViewKind::Tree:
    case ViewKind::Device:
    case ViewKind::Cover:
      break;
  }
  int tree = entry.tree;
  if (entry.kind == ViewKind::Cover) {
    tree = sys_open_tree(cover, entry.directory ? "directory" : "file",
                         OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0 || restrict_mount(tree, MOUNT_ATTR_RDONLY, -1) != 0) return entry.failed;
  }
  const int place = make_place(root, entry);
  const bool ok = place >= 0 && attach(tree, place) == 0;
  const int saved = errno;
  if (place >= 0) ::close(place);
  ::close(tree);
  errno = saved;
  return ok ? nullptr : entry.failed;
}

}  // namespace

int open_tree_for(const PlannedEntry& entry, int map_user_ns) {
  // Links were resolved when the view was made; one that appeared since is not followed.
  const int found = sys_openat2(AT_FDCWD, entry.source, O_PATH | O_CLOEXEC,
                                RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
  if (found < 0) return -1;
  const unsigned recursive = map_user_ns >= 0 ? 0U : unsigned{AT_RECURSIVE};
  const int tree = sys_open_tree(
      found, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | unsigned{AT_EMPTY_PATH} | recursive);
  int saved = errno;
  ::close(found);
  std::uint64_t set = MOUNT_ATTR_NOSUID;
  if (entry.kind != ViewKind::Device) set |= MOUNT_ATTR_NODEV;
  if (!entry.executable) set |= MOUNT_ATTR_NOEXEC;
  if (!entry.writable && entry.kind != ViewKind::Device) set |= MOUNT_ATTR_RDONLY;
  if (tree >= 0 && restrict_mount(tree, set, map_user_ns) == 0) return tree;
  saved = tree >= 0 ? errno : saved;
  if (tree >= 0) ::close(tree);
  errno = saved;
  return -1;
}

const char* open_trees(std::span<PlannedEntry> view) {
  for (PlannedEntry& entry : view) {
    if (entry.from_launcher || (entry.kind != ViewKind::Tree && entry.kind != ViewKind::Device))
      continue;
    entry.tree = open_tree_for(entry, -1);
    if (entry.tree < 0) return entry.failed;
  }
  return nullptr;
}

const char* enter_view(std::span<PlannedEntry> view,
                       const char* root_data,
                       const char* scratch_data) {
  if (::mount("symbiont", kMountPoint, "tmpfs", kPlainFlags, root_data) != 0)
    return "mount the root";
  if (::chdir(kMountPoint) != 0) return "enter the root";
  const int root = ::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return "open the root";
  int covers = -1;
  for (const PlannedEntry& entry : view) {
    if (entry.kind == ViewKind::Cover && covers < 0) covers = make_covers(root);
    if (const char* failed = add_entry(root, covers, entry, scratch_data)) return failed;
  }
  if (covers >= 0 && !remove_covers(root, covers)) return "remove the names of covers";
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return "pivot into the root";
  if (::umount2(".", kDetach) != 0) return "detach the host's tree";
  if (::chdir("/") != 0) return "enter the root";
  ::close(root);
  if (::mount(nullptr, "/", nullptr, kRemountReadOnly | kPlainFlags, nullptr) != 0)
    return "make the root read-only";
  return nullptr;
}

}  // namespace symbiont::sandbox
