#ifndef SYMBIONT_SANDBOX_PREPARED_TREE_H_
#define SYMBIONT_SANDBOX_PREPARED_TREE_H_

// A process tree that waits for its plan: namespaces made, identities mapped, cgroups joined. All
// that takes long about a start and does not depend on what is started.

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/arena.h"
#include "sandbox/cgroup.h"
#include "sandbox/child.h"
#include "sandbox/start.h"

namespace symbiont::sandbox {

/// Owns the tree: destroying it kills pid 1, and so all of it, reaps it and removes its groups.
class PreparedTree {
 public:
  /// `own_network` false: the host's network namespace (network Full). `group` is its cgroup's
  /// name.
  [[nodiscard]] static std::expected<PreparedTree, StartFailure> make(const HostFacts& host,
                                                                      bool own_network,
                                                                      std::string group);
  PreparedTree(PreparedTree&&) noexcept = default;
  PreparedTree& operator=(PreparedTree&&) = delete;
  PreparedTree(const PreparedTree&) = delete;
  PreparedTree& operator=(const PreparedTree&) = delete;
  ~PreparedTree();

  [[nodiscard]] bool is_alive() const;
  [[nodiscard]] const std::string& group() const { return group_; }
  [[nodiscard]] pid_t init_pid() const { return init_pid_; }
  [[nodiscard]] uid_t outside_id() const { return outside_id_; }
  /// For mounts whose files of root are the program's own, made when first asked for; invalid where
  /// there can be none.
  [[nodiscard]] const UniqueFd& identity_map();
  [[nodiscard]] SharedArena& arena() { return arena_; }
  [[nodiscard]] const Cgroup& cgroup() const { return *cgroup_; }
  /// Where the plan goes: lies in the arena.
  [[nodiscard]] ChildPlan& plan() { return *plan_; }
  /// Lets the program's process read the plan. `fds` in the order of PlanFd.
  [[nodiscard]] Status go(std::span<const int> fds) const;
  [[nodiscard]] int channel() const { return channel_.get(); }
  /// Gives up ownership to a running process.
  [[nodiscard]] ConfinedProcess release();

 private:
  PreparedTree(SharedArena arena, std::string group);
  [[nodiscard]] std::expected<void, StartFailure> clone_init(const HostFacts& host,
                                                             bool own_network);

  SharedArena arena_;
  std::string group_;
  ChildPlan* plan_ = nullptr;
  std::optional<Cgroup> cgroup_;
  UniqueFd init_pidfd_;
  UniqueFd identity_map_;
  pid_t init_pid_ = -1;
  uid_t outside_id_ = 0;
  bool own_namespaces_ = true;
  UniqueFd channel_;
  UniqueFd exit_pipe_;
};

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_PREPARED_TREE_H_
