// Attacks on files: reading and changing what was not given, by every route that leads there.

#include <dirent.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "attack.h"

namespace symbiont::attacks {
namespace {

constexpr int kFchmodat2 = 452;  // headers of an older C library lack it

Outcome read_file(Arguments a) {
  return read_path(argument(a, 0));
}

Outcome list_directory(Arguments a) {
  DIR* directory = ::opendir(argument(a, 0));
  if (directory == nullptr) return blocked("opendir");
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
  const auto next = [&] { return ::readdir(directory); };
  for (const dirent* entry = next(); entry != nullptr; entry = next()) {
    if (entry->d_name[0] != '.') return Outcome::Succeeded;
  }
  return blocked_because("it is empty");
}

Outcome read_own_link(Arguments a) {
  if (::symlink(argument(a, 0), argument(a, 1)) != 0) return blocked("symlink");
  return read_path(argument(a, 1));
}

Outcome read_hard_link(Arguments a) {
  if (::link(argument(a, 0), argument(a, 1)) != 0) return blocked("link");
  return read_path(argument(a, 1));
}

Outcome change_through_empty_path_link(Arguments a) {
  const int fd = ::open(argument(a, 0), O_PATH | O_CLOEXEC);
  if (fd < 0) return blocked("open");
  if (::linkat(fd, "", AT_FDCWD, argument(a, 1), AT_EMPTY_PATH) != 0) return blocked("linkat");
  return tried(::open(argument(a, 1), O_WRONLY | O_CLOEXEC), "open");
}

Outcome rename_and_read(Arguments a) {
  if (::rename(argument(a, 0), argument(a, 1)) != 0) return blocked("rename");
  return read_path(argument(a, 2));
}

Outcome read_by_handle(Arguments a) {
  struct Handle {
    file_handle head;
    std::array<unsigned char, MAX_HANDLE_SZ> bytes;
  } handle{};
  handle.head.handle_bytes = MAX_HANDLE_SZ;
  int mount = 0;
  if (::name_to_handle_at(AT_FDCWD, argument(a, 0), &handle.head, &mount, 0) != 0)
    return errno == EOPNOTSUPP ? not_applicable("the file system has no handles")
                               : blocked("name_to_handle_at");
  const int at = ::open(argument(a, 0), O_RDONLY | O_CLOEXEC);
  if (at < 0) return blocked("open");
  const int fd = ::open_by_handle_at(at, &handle.head, O_RDONLY | O_CLOEXEC);
  return fd < 0 ? blocked("open_by_handle_at") : read_descriptor(fd);
}

Outcome read_by_ring(Arguments a) {
  const char* path = argument(a, 0);
  const int fd =
      submit_to_ring(IORING_OP_OPENAT, AT_FDCWD, reinterpret_cast<std::uintptr_t>(path), 0, 0);
  if (fd >= 0) return read_descriptor(fd);
  errno = -fd;
  return blocked("io_uring openat");
}

Outcome create_file(Arguments a) {
  const int fd = ::open(argument(a, 0), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return blocked("open");
  ::unlink(argument(a, 0));
  return Outcome::Succeeded;
}

Outcome open_to_write(Arguments a) {
  return tried(::open(argument(a, 0), O_WRONLY | O_CLOEXEC | O_NONBLOCK), argument(a, 0));
}

Outcome truncate_file(Arguments a) {
  return tried(::truncate(argument(a, 0), 0), "truncate");
}

Outcome change_mode(Arguments a) {
  return tried(::chmod(argument(a, 0), 0666), "chmod");
}

Outcome change_times(Arguments a) {
  return tried(::utimensat(AT_FDCWD, argument(a, 0), nullptr, 0), "utimensat");
}

Outcome remove_file(Arguments a) {
  return tried(::unlink(argument(a, 0)), "unlink");
}

Outcome rename_file(Arguments a) {
  return tried(::rename(argument(a, 0), argument(a, 1)), "rename");
}

Outcome remove_directory(Arguments a) {
  return tried(::rmdir(argument(a, 0)), "rmdir");
}

Outcome nameless_file(Arguments a) {
  return tried(::open(argument(a, 0), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), "open O_TMPFILE");
}

Outcome open_device(Arguments a) {
  return tried(::open(argument(a, 0), O_RDONLY | O_CLOEXEC | O_NONBLOCK), argument(a, 0));
}

Outcome make_device(Arguments a) {
  constexpr unsigned kMemory = 1;
  constexpr unsigned kZero = 5;
  if (::mknod(argument(a, 0), S_IFCHR | 0666, ::makedev(kMemory, kZero)) != 0)
    return blocked("mknod");
  return read_path(argument(a, 0));
}

bool is_set_id(const char* path) {
  struct stat info{};
  return ::stat(path, &info) == 0 && (info.st_mode & (S_ISUID | S_ISGID)) != 0;
}

Outcome set_id_by_chmod(Arguments a) {
  const int fd = ::open(argument(a, 0), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  if (fd < 0) return blocked("open");
  if (::fchmod(fd, 04755) != 0) return blocked("fchmod");
  return is_set_id(argument(a, 0)) ? Outcome::Succeeded : blocked_because("the bit is not set");
}

Outcome set_id_by_open(Arguments a) {
  const int fd = ::open(argument(a, 0), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 04755);
  if (fd < 0) return blocked("open");
  return is_set_id(argument(a, 0)) ? Outcome::Succeeded : blocked_because("the bit is not set");
}

Outcome set_id_by_fchmodat2(Arguments a) {
  const int fd = ::open(argument(a, 0), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  if (fd < 0) return blocked("open");
  if (::syscall(kFchmodat2, fd, "", 06755, AT_EMPTY_PATH) != 0)
    return errno == ENOSYS ? not_applicable("no fchmodat2") : blocked("fchmodat2");
  return is_set_id(argument(a, 0)) ? Outcome::Succeeded : blocked_because("the bit is not set");
}

/// The kernel looks at the low half of the argument.
Outcome set_id_by_high_bits(Arguments a) {
  const int fd = ::open(argument(a, 0), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  if (fd < 0) return blocked("open");
  constexpr std::uint64_t kMode = (std::uint64_t{1} << 32U) | 04755;
  if (::syscall(SYS_fchmod, fd, kMode) != 0) return blocked("fchmod");
  return is_set_id(argument(a, 0)) ? Outcome::Succeeded : blocked_because("the bit is not set");
}

Outcome set_group_id_directory(Arguments a) {
  if (::mkdir(argument(a, 0), 02755) != 0) return blocked("mkdir");
  if (!is_set_id(argument(a, 0)) && ::chmod(argument(a, 0), 02755) != 0) return blocked("chmod");
  return is_set_id(argument(a, 0)) ? Outcome::Succeeded : blocked_because("the bit is not set");
}

Outcome set_file_capability(Arguments a) {
  const int fd = ::open(argument(a, 0), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  if (fd < 0) return blocked("open");
  // Revision 2, effective, CAP_SETUID permitted: as in linux/capability.h.
  const std::array<std::uint32_t, 5> capability = {0x02000001, 1U << 7U, 0, 0, 0};
  return tried(::fsetxattr(fd, "security.capability", capability.data(), sizeof capability, 0),
               "setxattr");
}

Outcome give_away(Arguments a) {
  const int fd = ::open(argument(a, 0), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  if (fd < 0) return blocked("open");
  return tried(::fchown(fd, 1, 1), "fchown");
}

Outcome execute_copy(Arguments a) {
  if (!copy_program(argument(a, 0), argument(a, 1))) return blocked("copy");
  std::array<char*, 4> argv = {a[1], const_cast<char*>("probe"), nullptr, nullptr};
  ::execv(a[1], argv.data());
  return blocked("execve");
}

Outcome execute_by_loader(Arguments a) {
  const char* loader = "/lib64/ld-linux-x86-64.so.2";
  if (::access(loader, X_OK) != 0) return not_applicable("no loader of that name");
  if (!copy_program("/usr/bin/true", argument(a, 0))) return blocked("copy");
  std::array<char*, 3> argv = {const_cast<char*>(loader), a[0], nullptr};
  const int pid = ::fork();
  if (pid == 0) {
    ::execv(loader, argv.data());
    ::_exit(127);
  }
  if (pid < 0) return blocked("fork");
  return exit_code_of(pid) == 0 ? Outcome::Succeeded : blocked_because("the loader failed");
}

Outcome execute_memory_file(Arguments a) {
  const int memory = ::memfd_create("attack", 0);  // NOLINT(android-cloexec-memfd-create): fexecve
  if (memory < 0) return blocked("memfd_create");
  const int in = ::open(argument(a, 0), O_RDONLY | O_CLOEXEC);
  if (in < 0) return blocked("open");
  std::vector<char> block(1U << 20U);
  for (ssize_t got = ::read(in, block.data(), block.size()); got > 0;
       got = ::read(in, block.data(), block.size())) {
    if (::write(memory, block.data(), static_cast<std::size_t>(got)) < 0) return blocked("write");
  }
  std::array<char*, 3> argv = {const_cast<char*>("attack"), const_cast<char*>("probe"), nullptr};
  ::syscall(SYS_execveat, memory, "", argv.data(), nullptr, AT_EMPTY_PATH);
  return blocked("execveat");
}

Outcome map_code(Arguments a) {
  if (!copy_program(argument(a, 0), argument(a, 1))) return blocked("copy");
  const int fd = ::open(argument(a, 1), O_RDONLY | O_CLOEXEC);
  const void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  return page == MAP_FAILED ? blocked("mmap PROT_EXEC") : Outcome::Succeeded;
}

Outcome probe(Arguments) {
  return Outcome::Succeeded;
}

// The mount attacks expect a mount namespace of their own where they are meant to succeed.

Outcome mount_tmpfs(Arguments a) {
  return tried(::mount("attack", argument(a, 0), "tmpfs", 0, nullptr), "mount");
}

Outcome bind_mount(Arguments a) {
  if (::mount(argument(a, 0), argument(a, 1), nullptr, MS_BIND, nullptr) != 0)
    return blocked("mount");
  return read_path(argument(a, 2));
}

Outcome remount_writable(Arguments a) {
  if (::mount(nullptr, argument(a, 0), nullptr, MS_REMOUNT | MS_BIND, nullptr) != 0)
    return blocked("mount");
  Arguments rest = a.subspan(1);
  return create_file(rest);
}

Outcome unmount_cover(Arguments a) {
  if (::umount2(argument(a, 0), MNT_DETACH) != 0) return blocked("umount2");
  return read_path(argument(a, 1));
}

Outcome clone_mount_tree(Arguments) {
  return tried(::syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | AT_RECURSIVE),
               "open_tree");
}

Outcome new_file_system(Arguments) {
  return tried(::syscall(SYS_fsopen, "tmpfs", 0), "fsopen");
}

Outcome change_mount_attributes(Arguments a) {
  const std::array<std::uint64_t, 4> attributes = {0, MOUNT_ATTR_RDONLY, 0, 0};
  return tried(::syscall(SYS_mount_setattr, AT_FDCWD, argument(a, 0), 0, attributes.data(),
                         sizeof attributes),
               "mount_setattr");
}

Outcome change_root(Arguments a) {
  // The classic way out: a root below the working directory leaves the latter outside.
  if (::chroot(argument(a, 0)) != 0) return blocked("chroot");
  for (int i = 0; i < 64; ++i)
    if (::chdir("..") != 0) break;
  if (::chroot(".") != 0) return blocked("chroot");
  return read_path("/etc/shadow");
}

Outcome pivot_root(Arguments a) {
  if (::chdir(argument(a, 0)) != 0) return blocked("chdir");
  return tried(::syscall(SYS_pivot_root, ".", "."), "pivot_root");
}

Outcome fill_with_files(Arguments a) {
  const std::string directory = argument(a, 0);
  const std::uint64_t wanted = number(a, 1);
  std::uint64_t made = 0;
  int error = 0;
  for (; made < wanted; ++made) {
    const int fd = ::open((directory + "/i" + std::to_string(made)).c_str(),
                          O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    error = errno;
    if (fd < 0) break;
    ::close(fd);
  }
  errno = error;
  return made == wanted ? Outcome::Succeeded : blocked("open");
}

Outcome fill_with_bytes(Arguments a) {
  const std::string directory = argument(a, 0);
  const std::uint64_t wanted = number(a, 1);  // MiB
  const std::vector<char> block(1U << 20U, 'x');
  constexpr std::uint64_t kPerFile = 4;
  int fd = -1;
  for (std::uint64_t i = 0; i < wanted; ++i) {
    if (i % kPerFile == 0) {
      if (fd >= 0) ::close(fd);
      fd = ::open((directory + "/f" + std::to_string(i)).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC,
                  0600);
    }
    const ssize_t wrote = fd < 0 ? -1 : ::write(fd, block.data(), block.size());
    if (wrote < 0) return blocked("write");
    if (static_cast<std::size_t>(wrote) < block.size()) return blocked_because("a short write");
  }
  return Outcome::Succeeded;
}

Outcome one_big_file(Arguments a) {
  const int fd = ::open(argument(a, 0), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return blocked("open");
  const std::vector<char> block(1U << 20U, 'x');
  for (std::uint64_t i = 0; i < number(a, 1); ++i) {
    const ssize_t wrote = ::write(fd, block.data(), block.size());
    if (wrote < 0) return blocked("write");
  }
  return Outcome::Succeeded;
}

Outcome one_sparse_file(Arguments a) {
  const int fd = ::open(argument(a, 0), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return blocked("open");
  return tried(::ftruncate(fd, static_cast<off_t>(number(a, 1) << 20U)), "ftruncate");
}

Outcome raise_file_size(Arguments a) {
  const rlimit limit{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
  (void)::setrlimit(RLIMIT_FSIZE, &limit);  // what counts is how much can be written
  return one_big_file(a);
}

constexpr auto kAttacks = std::to_array<Attack>({
    {"read_shadow", "reads the password hashes", "FILE", read_file},
    {"read_outside", "reads a file that was not given", "FILE", read_file},
    {"read_denied", "reads a denied part of an allowed directory", "FILE", read_file},
    {"read_denied_dotdot", "reads a denied file by way of '..'", "FILE", read_file},
    {"read_ready_link", "follows a link that lies in the read path and leads out", "FILE",
     read_file},
    {"read_own_link", "makes a link to a host file and follows it", "FILE LINK", read_own_link},
    {"read_hard_link", "links a denied file into its write path", "FILE LINK", read_hard_link},
    {"list_denied", "lists a denied directory", "DIRECTORY", list_directory},
    {"list_home", "lists the caller's home", "DIRECTORY", list_directory},
    {"rename_denied", "moves a denied directory of a write path", "FROM TO FILE", rename_and_read},
    {"rename_above_denied", "moves the directory above a denied one", "FROM TO FILE",
     rename_and_read},
    {"remove_denied", "deletes a file of a denied directory in a write path", "FILE", remove_file},
    {"remove_denied_directory", "deletes a denied, empty directory of a write path", "DIRECTORY",
     remove_directory},
    {"read_by_handle", "opens a file by its handle, without a path", "FILE", read_by_handle},
    {"read_by_ring", "opens a file through io_uring", "FILE", read_by_ring},
    {"read_proc_root", "reads a file under the root of pid 1", "FILE", read_file},
    {"create_outside", "creates a file outside of its write paths", "FILE", create_file},
    {"create_in_read_path", "creates a file in a read path", "FILE", create_file},
    {"create_in_usr", "creates a file among the system's programs", "FILE", create_file},
    {"nameless_in_read_path", "creates a file without a name in a read path", "DIRECTORY",
     nameless_file},
    {"write_read_path", "opens a file of a read path to write", "FILE", open_to_write},
    {"write_system", "opens a system library to write", "FILE", open_to_write},
    {"write_by_link", "links a file it may only read into its write path and opens that",
     "FILE LINK", change_through_empty_path_link},
    {"truncate_read_path", "empties a file of a read path", "FILE", truncate_file},
    {"chmod_read_path", "opens a file of a read path to everyone", "FILE", change_mode},
    {"touch_read_path", "changes the times of a file of a read path", "FILE", change_times},
    {"remove_read_path", "deletes a file of a read path", "FILE", remove_file},
    {"replace_program", "renames its own program away", "FILE TO", rename_file},
    {"write_proc_sys", "opens a kernel setting to write", "FILE", open_to_write},
    {"write_sys", "opens a file of sysfs to write", "FILE", open_to_write},
    {"write_cgroup", "opens the list of processes of another control group to write", "FILE",
     open_to_write},
    {"open_kvm", "opens the hypervisor", "DEVICE", open_device},
    {"open_fuse", "opens the device of file systems in user space", "DEVICE", open_device},
    {"open_kmsg", "opens the kernel's log", "DEVICE", open_device},
    {"open_disk", "opens a disk of the host", "DEVICE", open_device},
    {"make_device", "makes a device node and opens it", "FILE", make_device},
    {"set_id_by_chmod", "leaves a set-user-id file in its write path", "FILE", set_id_by_chmod},
    {"set_id_by_open", "creates a file set-user-id at once", "FILE", set_id_by_open},
    {"set_id_by_fchmodat2", "sets both bits by the newest call", "FILE", set_id_by_fchmodat2},
    {"set_id_by_high_bits", "hides the bit behind others that the kernel ignores", "FILE",
     set_id_by_high_bits},
    {"set_id_directory", "leaves a set-group-id directory", "DIRECTORY", set_group_id_directory},
    {"set_file_capability", "gives a file a capability", "FILE", set_file_capability},
    {"give_away", "gives a file to another user", "FILE", give_away},
    {"execute_written", "executes a program it has written", "PROGRAM COPY", execute_copy},
    {"execute_temporary", "executes a program from its temporary files", "PROGRAM COPY",
     execute_copy},
    {"execute_by_loader", "has the dynamic loader execute a written program", "COPY",
     execute_by_loader},
    {"execute_memory_file", "executes a program that exists in memory only", "PROGRAM",
     execute_memory_file},
    {"map_written_code", "maps a written file as code", "PROGRAM COPY", map_code},
    {"mount_tmpfs", "mounts a file system without its limits", "DIRECTORY", mount_tmpfs},
    {"bind_mount", "mounts a host directory into its write path", "FROM TO FILE", bind_mount},
    {"remount_writable", "makes a read-only mount writable", "DIRECTORY FILE", remount_writable},
    {"unmount_cover", "unmounts what covers a denied directory", "DIRECTORY FILE", unmount_cover},
    {"clone_mount_tree", "takes a private copy of all mounts", "", clone_mount_tree},
    {"new_file_system", "makes a file system by the new mount interface", "", new_file_system},
    {"change_mount_attributes", "makes a mount writable by the new interface", "DIRECTORY",
     change_mount_attributes},
    {"change_root", "leaves its root by chroot, twice", "DIRECTORY", change_root},
    {"pivot_root", "exchanges its root", "DIRECTORY", pivot_root},
    {"fill_with_files", "uses up the number of files", "DIRECTORY COUNT", fill_with_files},
    {"fill_with_bytes", "fills the disk with files", "DIRECTORY MIB", fill_with_bytes},
    {"one_big_file", "writes one file over its limit", "FILE MIB", one_big_file},
    {"one_sparse_file", "makes one huge file with nothing in it", "FILE MIB", one_sparse_file},
    {"raise_file_size", "writes one file after it has lifted its limit", "FILE MIB",
     raise_file_size},
    {"probe", "does nothing: the check that a program runs at all", "", probe},
});

}  // namespace

std::span<const Attack> file_attacks() {
  return kAttacks;
}

}  // namespace symbiont::attacks
