#include "sandbox/own_mounts.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string>

#include "base/file.h"
#include "sandbox/namespaces.h"
#include "sandbox/prepared_tree.h"
#include "sandbox/root_builder.h"

namespace symbiont::sandbox {
namespace {

bool write_map(pid_t pid, const char* file, const std::string& map) {
  const UniqueFd fd(
      ::open(("/proc/" + std::to_string(pid) + "/" + file).c_str(), O_WRONLY | O_CLOEXEC));
  return fd.is_valid() && write_all(fd.get(), map, file).has_value();
}

}  // namespace

UniqueFd make_identity_map(uid_t outside) {
  const pid_t launcher = ::getpid();
  const pid_t pid = clone_with(CLONE_NEWUSER, nullptr);
  if (pid < 0) return UniqueFd();
  if (pid == 0) {
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (::getppid() != launcher) ::_exit(1);  // it died before the line above took hold
    while (true)
      ::pause();
  }
  const std::string map = "0 " + std::to_string(outside) + " 1\n";
  UniqueFd names;
  if (write_map(pid, "uid_map", map) && write_map(pid, "gid_map", map)) {
    names.reset(
        ::open(("/proc/" + std::to_string(pid) + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  }
  (void)::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR)
    continue;
  return names;
}

std::vector<UniqueFd> open_own_trees(PreparedTree& prepared) {
  const std::span<PlannedEntry> view = prepared.plan().view;
  std::vector<UniqueFd> trees;
  if (std::ranges::none_of(view, &PlannedEntry::own)) return trees;
  const UniqueFd& map = prepared.identity_map();
  if (!map.is_valid()) return trees;
  for (PlannedEntry& entry : view) {
    if (!entry.own) continue;
    UniqueFd tree(open_tree_for(entry, map.get()));
    if (!tree.is_valid()) continue;
    entry.from_launcher = true;
    trees.push_back(std::move(tree));
  }
  return trees;
}

}  // namespace symbiont::sandbox
