#include "sandbox/supervisor.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <sstream>
#include <vector>

#include "base/file.h"

namespace symbiont::sandbox {
namespace {

constexpr int kWatchIntervalMs = 50;
constexpr std::uint64_t kPageSlack = 64U << 10U;

void kill_tree(const ConfinedProcess& process) {
  // ESRCH: it ended by itself.
  (void)::syscall(SYS_pidfd_send_signal, process.init_pidfd.get(), SIGKILL, nullptr, 0);
}

void reap(const ConfinedProcess& process) {
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(process.init_pidfd.get()), &info, WEXITED) < 0 &&
         errno == EINTR) {
  }
}

/// Value in bytes of a "Name:   123 kB" line.
std::uint64_t status_bytes(const std::string& status, std::string_view name) {
  const auto at = status.find("\n" + std::string(name) + ":");
  if (at == std::string::npos) return 0;
  std::uint64_t kib = 0;
  std::istringstream(status.substr(at + name.size() + 2)) >> kib;
  return kib * 1024;
}

ReplyMessage usage_of(const ConfinedProcess& process) {
  ReplyMessage reply;
  const CgroupUsage usage = process.cgroup ? process.cgroup->usage() : CgroupUsage{};
  reply.peak_memory_bytes = usage.peak_memory_bytes;
  reply.cpu_time_us = usage.cpu_time_us;
  reply.throttled_us = usage.throttled_us;
  reply.out_of_memory = usage.oom_kills > 0;
  return reply;
}

}  // namespace

Supervisor::Supervisor(UniqueFd socket) : socket_(std::move(socket)), host_(find_host_facts()) {
  sweep_stale_cgroups(host_.cgroups);
}

Status Supervisor::run() {
  while (true) {
    std::vector<pollfd> polled = {{socket_.get(), POLLIN, 0}};
    std::vector<std::uint64_t> ids = {0};
    for (const auto& [id, child] : children_) {
      polled.push_back({child.process.init_pidfd.get(), POLLIN, 0});
      ids.push_back(id);
    }
    const bool watching = !children_.empty() && !host_.cgroups.has("memory");
    const int count = ::poll(polled.data(), polled.size(), watching ? kWatchIntervalMs : -1);
    if (count < 0 && errno != EINTR) return fail(errno_error("poll"));
    if (watching) watch_memory();
    finish_ended(polled, ids);
    if (polled[0].revents == 0) continue;
    if (const Status status = handle_request(); !status.has_value()) return end(status.error());
  }
}

/// The parent is gone, or speaks nonsense: nothing it started may go on.
Status Supervisor::end(const Error& why) {
  kill_all();
  if (why.code() == ErrorCode::Unavailable) return {};
  return fail(why);
}

void Supervisor::finish_ended(const std::vector<pollfd>& polled,
                              const std::vector<std::uint64_t>& ids) {
  for (std::size_t i = 1; i < polled.size(); ++i) {
    if (polled[i].revents == 0) continue;
    if (!finish(ids[i]).has_value()) return;  // the parent is gone: its socket says so next
  }
}

Status Supervisor::handle_request() {
  SYMBIONT_TRY(Packet packet, receive_packet(socket_.get()));
  SYMBIONT_TRY(const RequestMessage message, decode_request(packet.text));
  if (message.request == Request::Spawn)
    return spawn(message.id, message.policy, std::move(packet.fds));
  const auto at = children_.find(message.id);
  if (at == children_.end()) return {};  // it ended meanwhile; its Ended is under way
  if (message.request == Request::Kill) {
    kill_tree(at->second.process);
    return {};
  }
  return reply_usage(message.id);
}

Status Supervisor::reply_failed(std::uint64_t id,
                                std::string step,
                                int error_number,
                                ControlReport controls) {
  ReplyMessage reply;
  reply.reply = Reply::Failed;
  reply.id = id;
  reply.step = std::move(step);
  reply.sys_errno = error_number;
  reply.controls = std::move(controls);
  return send_packet(socket_.get(), encode(reply), {});
}

Status Supervisor::spawn(std::uint64_t id, const Policy& policy, std::vector<UniqueFd> fds) {
  if (fds.size() != 2)
    return reply_failed(id, "take the program and the control socket", EBADMSG, {});
  ControlReport controls = plan_controls(policy, host_);
  const bool missing = std::ranges::any_of(
      controls, [](const auto& entry) { return entry.second.state != ControlState::Enforced; });
  if (!host_.user_namespaces || (missing && policy.strict)) {
    return reply_failed(id, "enforce every control", 0, std::move(controls));
  }
  const std::string name = cgroup_name(::getpid(), process_start_time(::getpid()), ++sequence_);
  auto started = start_confined(policy, host_, fds[0].get(), fds[1].get(), name);
  if (!started.has_value())
    return reply_failed(id, started.error().step, started.error().sys_errno, {});
  ReplyMessage reply;
  reply.id = id;
  reply.pid = started->program_pid;
  reply.init_pid = started->init_pid;
  reply.privileged = host_.privileged;
  reply.cgroup = host_.cgroups.has("memory") ? name : std::string();
  reply.controls = std::move(controls);
  Child child;
  child.process = std::move(*started);
  child.memory_limit = policy.memory_bytes;
  children_.emplace(id, std::move(child));
  return send_packet(socket_.get(), encode(reply), {});
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
    reply.cpu_time_us = std::max(reply.cpu_time_us, static_cast<std::uint64_t>(report.cpu_time_us));
    reply.peak_memory_bytes =
        std::max(reply.peak_memory_bytes, static_cast<std::uint64_t>(report.max_rss_kib) * 1024);
  }
  reply.memory_limit = child.memory_limit;
  reply.peak_memory_bytes = std::max(reply.peak_memory_bytes, child.peak_rss_bytes);
  reply.out_of_memory = reply.out_of_memory || child.over_limit;
  if (child.process.cgroup)
    (void)child.process.cgroup->remove();  // a leftover is swept by the next launcher
  return send_packet(socket_.get(), encode(reply), {});
}

void Supervisor::watch_memory() {
  for (auto& [id, child] : children_) {
    const auto status =
        read_file("/proc/" + std::to_string(child.process.program_pid) + "/status", kPageSlack);
    if (!status.has_value()) continue;
    const std::uint64_t held = status_bytes(*status, "RssAnon") + status_bytes(*status, "RssShmem");
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
