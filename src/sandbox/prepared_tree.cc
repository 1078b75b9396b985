#include "sandbox/prepared_tree.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>
#include <vector>

#include "base/file.h"
#include "sandbox/init.h"
#include "sandbox/namespaces.h"
#include "sandbox/own_mounts.h"

namespace symbiont::sandbox {
namespace {

std::unexpected<StartFailure> failed(std::string step, int error_number = errno) {
  return std::unexpected(StartFailure{std::move(step), error_number});
}

Status write_proc(pid_t pid, const char* file, const std::string& text) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + file;
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.is_valid()) return fail(errno_error("open '" + path + "'"));
  return write_all(fd.get(), text, "'" + path + "'");
}

Status map_identities(pid_t pid, bool privileged, uid_t outside) {
  const std::string inside = std::to_string(kInsideId) + " ";
  if (privileged) {
    const std::string map = "0 0 1\n" + inside + std::to_string(outside) + " 1\n";
    SYMBIONT_TRY_STATUS(write_proc(pid, "uid_map", map));
    return write_proc(pid, "gid_map", map);
  }
  SYMBIONT_TRY_STATUS(write_proc(pid, "setgroups", "deny"));
  SYMBIONT_TRY_STATUS(write_proc(pid, "uid_map", inside + std::to_string(::geteuid()) + " 1\n"));
  return write_proc(pid, "gid_map", inside + std::to_string(::getegid()) + " 1\n");
}

}  // namespace

PreparedTree::PreparedTree(SharedArena arena, std::string group)
    : arena_(std::move(arena)), group_(std::move(group)), plan_(arena_.put(ChildPlan{})) {}

PreparedTree::~PreparedTree() {
  if (!init_pidfd_.is_valid()) return;
  channel_.reset();  // what waits for a plan ends
  const int signal = own_namespaces_ ? SIGKILL : SIGTERM;
  // ESRCH: it ended by itself.
  (void)::syscall(SYS_pidfd_send_signal, init_pidfd_.get(), signal, nullptr, 0);
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(init_pidfd_.get()), &info, WEXITED) < 0 &&
         errno == EINTR) {
  }
}

std::expected<void, StartFailure> PreparedTree::clone_init(const HostFacts& host,
                                                           bool own_network) {
  std::array<int, 2> channel{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel.data()) != 0)
    return failed("make the channel");
  channel_.reset(channel[0]);
  const UniqueFd theirs(channel[1]);
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return failed("make a pipe");
  exit_pipe_.reset(pipe[0]);
  const UniqueFd exit_end(pipe[1]);
  const auto entrances = cgroup_->entrances();
  if (!entrances.has_value())
    return failed(entrances.error().message(), entrances.error().sys_errno());
  std::vector<int> groups;
  for (const UniqueFd& entrance : *entrances)
    groups.push_back(entrance.get());
  const InitPlan init{host.privileged, host.namespaces, theirs.get(), exit_end.get(), groups};
  int pidfd = -1;
  unsigned flags = host.namespaces ? kNamespaces : 0;
  if (host.namespaces && own_network) flags |= unsigned{CLONE_NEWNET};
  const pid_t pid = clone_with(flags, &pidfd);
  if (pid < 0) return failed("make namespaces");
  if (pid == 0) {
    // The launcher's ends must not live on in the child: it waits for their end of file.
    ::close(channel[0]);
    ::close(pipe[0]);
    run_init(init, plan_);
  }
  init_pid_ = pid;
  own_namespaces_ = host.namespaces;
  init_pidfd_.reset(pidfd);
  return {};
}

std::expected<PreparedTree, StartFailure> PreparedTree::make(const HostFacts& host,
                                                             bool own_network,
                                                             std::string group) {
  const auto failure = [](const Error& error) {
    return failed(error.message(), error.sys_errno());
  };
  auto arena = SharedArena::create();
  if (!arena.has_value()) return failure(arena.error());
  PreparedTree tree(std::move(*arena), std::move(group));
  auto cgroup = Cgroup::create(host.cgroups, tree.group_);
  if (!cgroup.has_value()) return failure(cgroup.error());
  tree.cgroup_ = std::move(*cgroup);
  SYMBIONT_TRY_STATUS(tree.clone_init(host, own_network));
  tree.outside_id_ = outside_id_of(tree.init_pid_);
  if (host.namespaces) {
    const Status mapped = map_identities(tree.init_pid_, host.privileged, tree.outside_id_);
    if (!mapped.has_value()) return failure(mapped.error());
  }
  if (::write(tree.channel_.get(), "m", 1) != 1) return failed("release pid 1");
  return tree;
}

const UniqueFd& PreparedTree::identity_map() {
  if (!identity_map_.is_valid()) identity_map_ = make_identity_map(outside_id_);
  return identity_map_;
}

bool PreparedTree::is_alive() const {
  pollfd ended{init_pidfd_.get(), POLLIN, 0};
  return ::poll(&ended, 1, 0) == 0;
}

Status PreparedTree::go(std::span<const int> fds) const {
  char go = 'g';
  iovec data{&go, 1};
  std::vector<std::byte> control(CMSG_SPACE(fds.size_bytes()));
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(fds.size_bytes());
  std::memcpy(CMSG_DATA(part), fds.data(), fds.size_bytes());
  if (::sendmsg(channel_.get(), &message, MSG_NOSIGNAL) != 1)
    return fail(errno_error("send the plan"));
  return {};
}

ConfinedProcess PreparedTree::release() {
  ConfinedProcess process;
  process.init_pidfd = std::move(init_pidfd_);
  process.init_pid = init_pid_;
  process.own_namespaces = own_namespaces_;
  process.exit_pipe = std::move(exit_pipe_);
  process.cgroup = std::move(*cgroup_);
  cgroup_.reset();
  return process;
}

}  // namespace symbiont::sandbox
