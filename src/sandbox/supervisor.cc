#include "sandbox/supervisor.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <vector>

#include "sandbox/tree_figures.h"

namespace symbiont::sandbox {
namespace {

constexpr int kWatchIntervalMs = 50;
constexpr int kIdleMs = 2;  // nothing happened for so long: time to tidy and to prepare
constexpr std::size_t kSpares = 2;
constexpr std::size_t kMaxEmptied = 16;

void kill_tree(const ConfinedProcess& process) {
  const int signal = process.own_namespaces ? SIGKILL : SIGTERM;
  // ESRCH: it ended by itself.
  (void)::syscall(SYS_pidfd_send_signal, process.init_pidfd.get(), signal, nullptr, 0);
}

void reap(const ConfinedProcess& process) {
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(process.init_pidfd.get()), &info, WEXITED) < 0 &&
         errno == EINTR) {
  }
}

void signal_program(const ConfinedProcess& process, int signal) {
  if (signal == SIGKILL) {
    kill_tree(process);
  } else if (process.program_pidfd.is_valid()) {
    (void)::syscall(SYS_pidfd_send_signal, process.program_pidfd.get(), signal, nullptr, 0);
  }
}

}  // namespace

Supervisor::Supervisor(UniqueFd socket) : socket_(std::move(socket)), host_(find_host_facts()) {
  sweep_stale_cgroups(host_.cgroups);
}

Status Supervisor::run() {
  while (true) {
    std::vector<pollfd> polled = {{socket_.get(), POLLIN, 0}};
    std::vector<Source> sources = {{}};
    add_sources(polled, sources);
    const bool watching = !children_.empty() && !host_.cgroups.has("memory");
    const bool preparing = spares_.size() < wanted_spares_;
    const bool busy_later = preparing || !emptied_.empty();
    const int wait = busy_later ? kIdleMs : (watching ? kWatchIntervalMs : -1);
    const int count = ::poll(polled.data(), polled.size(), wait);
    if (count < 0 && errno != EINTR) return fail(errno_error("poll"));
    if (count == 0) emptied_.clear();
    if (count == 0 && preparing) prepare_spare();
    if (watching) watch_memory();
    handle_children(polled, sources);
    if (polled[0].revents == 0) continue;
    if (const Status status = handle_request(); !status.has_value()) return end(status.error());
  }
}

void Supervisor::add_sources(std::vector<pollfd>& polled, std::vector<Source>& sources) const {
  for (const auto& [id, child] : children_) {
    polled.push_back({child.process.init_pidfd.get(), POLLIN, 0});
    sources.push_back({id, false});
    if (!child.notifier || child.notifier->fd() < 0) continue;
    polled.push_back({child.notifier->fd(), POLLIN, 0});
    sources.push_back({id, true});
  }
}

/// The parent is gone, or speaks nonsense: nothing it started may go on.
Status Supervisor::end(const Error& why) {
  kill_all();
  if (why.code() == ErrorCode::Unavailable) return {};
  return fail(why);
}

void Supervisor::handle_children(const std::vector<pollfd>& polled,
                                 const std::vector<Source>& sources) {
  for (std::size_t i = 1; i < polled.size(); ++i) {
    const auto at = children_.find(sources[i].id);
    if (polled[i].revents == 0 || at == children_.end()) continue;
    if (sources[i].notifications) {
      answer_notification(at->second);
    } else if (!finish(sources[i].id).has_value()) {
      return;  // the parent is gone: its socket says so next
    }
  }
}

void Supervisor::answer_notification(Child& child) {
  if (!child.notifier->handle()) {
    child.notifier->close();
    return;
  }
  if (!child.notifier->fatal_call().empty()) kill_tree(child.process);
}

Status Supervisor::handle_request() {
  SYMBIONT_TRY(Packet packet, receive_packet(socket_.get()));
  SYMBIONT_TRY(const RequestMessage message, decode_request(packet.text));
  if (message.request == Request::Probe) {
    ReplyMessage reply;
    reply.reply = Reply::Probed;
    reply.id = message.id;
    reply.controls = plan_controls(message.policy, host_);
    return send_packet(socket_.get(), encode(reply), {});
  }
  if (message.request == Request::Spawn) return spawn(message, std::move(packet.fds));
  const auto at = children_.find(message.id);
  if (at == children_.end()) return {};  // it ended meanwhile; its Ended is under way
  if (message.request == Request::Usage) return reply_usage(message.id);
  if (message.request == Request::LimitMemory)
    return limit_memory(message.id, at->second, message.memory_bytes);
  signal_program(at->second.process, message.signal);
  return {};
}

Status Supervisor::reply_failed(std::uint64_t id,
                                const StartFailure& failure,
                                ControlReport controls) {
  ReplyMessage reply;
  reply.reply = Reply::Failed;
  reply.id = id;
  reply.step = failure.step;
  reply.sys_errno = failure.sys_errno;
  reply.controls = std::move(controls);
  return send_packet(socket_.get(), encode(reply), {});
}

std::string Supervisor::next_group() {
  return cgroup_name(::getpid(), process_start_time(::getpid()), ++sequence_);
}

/// One that stands ready, when it still lives, else a new one.
std::expected<PreparedTree, StartFailure> Supervisor::take_tree(bool own_network) {
  while (own_network && !spares_.empty()) {
    PreparedTree tree = std::move(spares_.front());
    spares_.pop_front();
    if (tree.is_alive()) return tree;
  }
  return PreparedTree::make(host_, own_network, next_group());
}

void Supervisor::prepare_spare() {
  auto made = PreparedTree::make(host_, true, next_group());
  if (!made.has_value()) {
    wanted_spares_ = 0;  // the next start takes longer, and says what is wrong
    return;
  }
  if (host_.privileged && host_.namespaces) (void)made->identity_map();
  spares_.push_back(std::move(*made));
}

Status Supervisor::spawn(const RequestMessage& message, std::vector<UniqueFd> fds) {
  const Policy& policy = message.policy;
  std::array<UniqueFd, PlanFds> slots;
  for (std::size_t i = 0; i < message.passed.size(); ++i) {
    const auto slot = static_cast<std::size_t>(message.passed[i]);
    if (i >= fds.size() || slot >= slots.size())
      return reply_failed(message.id, {"take the descriptors", EBADMSG});
    slots.at(slot) = std::move(fds[i]);
  }
  ControlReport controls = plan_controls(policy, host_);
  const bool missing = std::ranges::any_of(controls, [](const auto& entry) {
    return entry.second.state != ControlState::Enforced && is_required(entry.first);
  });
  if ((missing && policy.strict) || !can_start(host_, controls)) {
    return reply_failed(message.id, {"enforce every control", 0}, std::move(controls));
  }
  auto tree = take_tree(policy.network != NetworkAccessMode::Full);
  if (!tree.has_value()) return reply_failed(message.id, tree.error());
  const std::string group = tree->group();
  const ProgramFds program{std::move(slots[PlanProgram]), std::move(slots[PlanControl]),
                           std::move(slots[PlanIn]), std::move(slots[PlanOut]),
                           std::move(slots[PlanErr])};
  auto started = start_confined(policy, host_, std::move(*tree), program);
  if (!started.has_value()) return reply_failed(message.id, started.error());
  wanted_spares_ = kSpares;
  return reply_started(message.id, policy, std::move(*started), group, std::move(controls));
}

Status Supervisor::reply_started(std::uint64_t id,
                                 const Policy& policy,
                                 ConfinedProcess process,
                                 const std::string& group,
                                 ControlReport controls) {
  ReplyMessage reply;
  reply.id = id;
  reply.pid = process.program_pid;
  reply.init_pid = process.init_pid;
  reply.privileged = host_.privileged;
  reply.namespaces = host_.namespaces;
  reply.cgroup = host_.cgroups.has("memory") ? group : std::string();
  reply.controls = std::move(controls);
  const UniqueFd relay = std::move(process.relay);
  Child& child = children_[id];
  child.process = std::move(process);
  child.most_memory = policy.memory_bytes;
  child.memory_limit = policy.memory_bytes;
  if (child.process.notifications.is_valid()) {
    child.notifier.emplace(std::move(child.process.notifications), policy,
                           [&tree = child.process] { return count_processes(tree); });
  }
  std::vector<int> passed;
  if (relay.is_valid()) passed.push_back(relay.get());
  return send_packet(socket_.get(), encode(reply), passed);
}

Status Supervisor::reply_usage(std::uint64_t id) {
  const Child& child = children_.at(id);
  ReplyMessage reply = usage_of(child.process);
  reply.reply = Reply::Usage;
  reply.id = id;
  reply.memory_limit = child.memory_limit;
  reply.peak_memory_bytes = std::max(reply.peak_memory_bytes, child.peak_rss_bytes);
  return send_packet(socket_.get(), encode(reply), {});
}

/// Never above what it was started with. Where no group holds its memory there is nothing to do, as
/// the controls of its start have said.
Status Supervisor::limit_memory(std::uint64_t id, Child& child, std::uint64_t bytes) {
  ReplyMessage reply;
  reply.reply = Reply::Limited;
  reply.id = id;
  const std::uint64_t wanted = bytes == 0 ? child.most_memory : std::min(bytes, child.most_memory);
  if (child.process.cgroup && host_.cgroups.has("memory") && wanted != child.memory_limit) {
    CgroupLimits limits;
    limits.memory_bytes = wanted;
    if (const Status set = child.process.cgroup->set_limits(limits); set.has_value()) {
      child.memory_limit = wanted;
    } else {
      reply.step = set.error().message();
      reply.sys_errno = set.error().sys_errno();
    }
  }
  return send_packet(socket_.get(), encode(reply), {});
}

Status Supervisor::finish(std::uint64_t id) {
  auto node = children_.extract(id);
  Child& child = node.mapped();
  ExitReport report;
  const ssize_t count = ::read(child.process.exit_pipe.get(), &report, sizeof report);
  reap(child.process);
  ReplyMessage reply = usage_of(child.process);
  reply.reply = Reply::Ended;
  reply.id = id;
  reply.reported = count == sizeof report;
  if (reply.reported) {
    reply.wait_status = report.wait_status;
    reply.written_bytes = static_cast<std::uint64_t>(report.written_bytes);
    reply.cpu_time_us = std::max(reply.cpu_time_us, static_cast<std::uint64_t>(report.cpu_time_us));
    reply.peak_memory_bytes =
        std::max(reply.peak_memory_bytes, static_cast<std::uint64_t>(report.max_rss_kib) * 1024);
  }
  reply.memory_limit = child.memory_limit;
  reply.peak_memory_bytes = std::max(reply.peak_memory_bytes, child.peak_rss_bytes);
  reply.out_of_memory = reply.out_of_memory || child.over_limit;
  add_scratch(child.process, reply);
  const auto& group = child.process.cgroup;
  add_denials(child.notifier, group ? group->refused_tasks() : 0, reply);
  Status sent = send_packet(socket_.get(), encode(reply), {});
  // Removed in a pause: whoever waits for the end, or for the next start, need not wait for that.
  if (emptied_.size() >= kMaxEmptied) emptied_.clear();
  if (child.process.cgroup) emptied_.push_back(std::move(*child.process.cgroup));
  return sent;
}

void Supervisor::watch_memory() {
  for (auto& [id, child] : children_) {
    const std::uint64_t held = held_bytes(child.process.program_pid);
    child.peak_rss_bytes = std::max(child.peak_rss_bytes, held);
    if (child.memory_limit == 0 || held <= child.memory_limit) continue;
    child.over_limit = true;
    kill_tree(child.process);
  }
}

void Supervisor::kill_all() {
  for (const auto& [id, child] : children_)
    kill_tree(child.process);
  for (auto& [id, child] : children_) {
    reap(child.process);
    if (child.process.cgroup) (void)child.process.cgroup->remove();
  }
  children_.clear();
}

}  // namespace symbiont::sandbox
