#include "sandbox/notifier.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <filesystem>
#include <optional>
#include <system_error>

#include "sandbox/seccomp_filter.h"

namespace symbiont::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSetIds = S_ISUID | S_ISGID;

std::string family_name(std::uint64_t family) {
  switch (family) {
    case AF_UNIX:
      return "AF_UNIX";
    case AF_INET:
      return "AF_INET";
    case AF_INET6:
      return "AF_INET6";
    case AF_NETLINK:
      return "AF_NETLINK";
    case AF_PACKET:
      return "AF_PACKET";
    case AF_VSOCK:
      return "AF_VSOCK";
    default:
      return "family " + std::to_string(family);
  }
}

/// The path argument at `address` of another process; hostile bytes, at most PATH_MAX of them.
std::optional<std::string> read_path(pid_t pid, std::uint64_t address) {
  std::array<char, PATH_MAX> buffer{};
  constexpr std::size_t kPiece = 256;  // a path near the end of a mapping must not fail whole
  std::string path;
  while (path.size() < PATH_MAX) {
    const std::size_t to_page = kPiece - address % kPiece;
    iovec local{buffer.data(), to_page};
    iovec remote{reinterpret_cast<void*>(address), to_page};  // NOLINT: another process's address
    const ssize_t count = ::process_vm_readv(pid, &local, 1, &remote, 1, 0);
    if (count <= 0) return std::nullopt;
    const std::string_view piece(buffer.data(), static_cast<std::size_t>(count));
    const auto end = piece.find('\0');
    path += piece.substr(0, end);
    if (end != std::string_view::npos) return path;
    address += static_cast<std::uint64_t>(count);
  }
  return std::nullopt;
}

/// What `path` means to `pid`: absolute and lexically normal; its links are not followed.
std::string absolute_path(pid_t pid, int directory, const std::string& path) {
  if (path.starts_with('/')) return fs::path(path).lexically_normal().string();
  const std::string of = "/proc/" + std::to_string(pid) + "/";
  const std::string base =
      directory == AT_FDCWD ? of + "cwd" : of + "fd/" + std::to_string(directory);
  std::error_code error;
  const fs::path at = fs::read_symlink(base, error);
  if (error) return path;
  return (at / path).lexically_normal().string();
}

/// Whether the host has `path`. Crosses no mount: the program chose the path, and a file system
/// that hangs must not hold the launcher. What lies beyond one, or behind a link, counts as there.
bool may_exist_on_host(const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  const UniqueFd found(
      static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
  return found.is_valid() || (errno != ENOENT && errno != ENOTDIR);
}

}  // namespace

void DenialLog::add(Denial denial, bool idle) {
  int& newest = idle ? newest_idle_ : newest_;
  const auto same = std::ranges::find_if(denials_, [&](const Denial& other) {
    return other.kind == denial.kind && other.name == denial.name && other.port == denial.port &&
           other.reason == denial.reason;
  });
  if (same != denials_.end()) {
    ++same->count;
    newest = static_cast<int>(same - denials_.begin());
    return;
  }
  if (denials_.size() >= kMaxDenials) {
    ++dropped_;
    return;
  }
  newest = static_cast<int>(denials_.size());
  denials_.push_back(std::move(denial));
}

Notifier::Notifier(UniqueFd listener,
                   const Policy& policy,
                   std::function<std::size_t()> live_processes)
    : listener_(std::move(listener)),
      view_(policy.view),
      strict_(policy.kill_on_violation),
      max_processes_(1 + policy.child_processes),
      live_processes_(std::move(live_processes)) {}

bool Notifier::handle() {
  seccomp_notif asked{};
  if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0)
    return errno == EINTR || errno == ENOENT;  // ENOENT: the caller died meanwhile
  const Answer answer = decide(asked);
  seccomp_notif_resp reply{};
  reply.id = asked.id;
  if (answer.error == 0) {
    reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  } else {
    reply.error = -answer.error;
  }
  if (answer.fatal && fatal_call_.empty()) fatal_call_ = syscall_name(asked.data.nr);
  // A fatal call is not answered: the caller stays where it is until it is killed.
  if (!answer.fatal) (void)::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &reply);
  return true;
}

Notifier::Answer Notifier::decide(const seccomp_notif& asked) {
  const std::string name = syscall_name(asked.data.nr);
  if (name == "socket" || name == "socketpair") return on_socket(asked);
  const bool is_clone_flagged =
      name == "clone" &&
      (asked.data.args[0] & (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                             CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)) != 0;
  if ((name == "clone" && !is_clone_flagged) || name == "fork" || name == "vfork")
    return on_new_process(name);
  if (name == "open" || name == "openat" || name == "creat") return on_open(asked, name);
  log_.add({.kind = Denial::Kind::Syscall, .name = name, .reason = "not allowed"});
  return {EPERM, strict_};
}

Notifier::Answer Notifier::on_socket(const seccomp_notif& asked) {
  const std::uint64_t family = asked.data.args[0];
  // The C library asks for these by itself, for names of users and for its own addresses.
  const bool libraries_ask = family == AF_UNIX || family == AF_NETLINK;
  log_.add({.kind = Denial::Kind::Network,
            .name = family_name(family),
            .reason = "the network policy does not allow this kind of socket"},
           libraries_ask);
  return {EACCES, strict_ && !libraries_ask};
}

Notifier::Answer Notifier::on_new_process(const std::string& name) {
  if (live_processes_() < max_processes_) return {};
  log_.add({.kind = Denial::Kind::Process,
            .name = name,
            .reason = "max_child_processes is " + std::to_string(max_processes_ - 1)});
  return {EAGAIN, false};
}

Notifier::Answer Notifier::on_open(const seccomp_notif& asked, const std::string& name) {
  const auto& arguments = asked.data.args;
  const bool at = name == "openat";
  const std::uint64_t flags = name == "creat" ? O_WRONLY | O_CREAT : arguments[at ? 2 : 1];
  const std::uint64_t mode = arguments[name == "creat" ? 1 : (at ? 3 : 2)];
  if ((flags & O_CREAT) != 0 && (mode & kSetIds) != 0) {
    log_.add({.kind = Denial::Kind::Syscall, .name = name, .reason = "set-id mode"});
    return {EPERM, strict_};
  }
  const auto pid = static_cast<pid_t>(asked.pid);
  const auto text = read_path(pid, arguments[at ? 1 : 0]);
  // The call goes on whatever is read here: the mounts decide what it finds.
  if (!text.has_value() || text->empty()) return {};
  const int directory = at ? static_cast<int>(arguments[0]) : AT_FDCWD;
  const std::string path = absolute_path(pid, directory, *text);
  const bool writing = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0;
  if (!path.starts_with('/') || shows(view_, path, writing)) return {};
  const bool readable = shows(view_, path, false);
  const bool covered = is_covered(view_, path);
  // Programs look for many files that are nowhere; only what the host has was kept from it.
  if (!writing && !may_exist_on_host(path)) return {};
  std::string reason = "not among the paths of the profile";
  if (readable) reason = "read-only";
  if (covered) reason = "denied by the profile";
  log_.add({.kind = Denial::Kind::File, .name = path, .reason = std::move(reason)},
           !writing && !covered);
  return {};
}

}  // namespace symbiont::sandbox
