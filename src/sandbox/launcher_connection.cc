#include "sandbox/launcher_connection.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>

#include "base/file.h"

namespace symbiont::sandbox {
namespace {

using std::chrono::steady_clock;

/// It may be busy with a start, which gets so long for its setup.
constexpr std::chrono::seconds kLimitPatience{15};

/// Owns the file actions of one posix_spawn.
class FileActions {
 public:
  FileActions() { (void)posix_spawn_file_actions_init(&actions_); }
  ~FileActions() { (void)posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  void move(int from, int to) { (void)posix_spawn_file_actions_adddup2(&actions_, from, to); }
  void null(int to, int flags) {
    (void)posix_spawn_file_actions_addopen(&actions_, to, "/dev/null", flags, 0);
  }
  void close_from(int first) { (void)posix_spawn_file_actions_addclosefrom_np(&actions_, first); }
  [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

/// A signal mask of nothing and default handlers: the host program's are not the launcher's
/// business.
class SpawnAttributes {
 public:
  SpawnAttributes() {
    (void)posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    (void)posix_spawnattr_setsigmask(&attributes_, &none);
    (void)posix_spawnattr_setsigdefault(&attributes_, &all);
    // A group of its own: Ctrl-C at the terminal is for the program, which then tells the launcher
    // by ending.
    (void)posix_spawnattr_setpgroup(&attributes_, 0);
    (void)posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~SpawnAttributes() { (void)posix_spawnattr_destroy(&attributes_); }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  [[nodiscard]] const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

}  // namespace

Result<pid_t> spawn_program(const std::filesystem::path& program,
                            const std::vector<std::string>& arguments,
                            int socket) {
  // A copy above the fixed numbers: a dup2 of a descriptor onto itself would keep its close-on-exec
  // mark.
  constexpr int kAbove = 10;
  const UniqueFd high_socket(socket >= 0 ? ::fcntl(socket, F_DUPFD_CLOEXEC, kAbove) : -1);
  FileActions actions;
  actions.null(0, O_RDONLY);
  actions.null(1, O_WRONLY);
  if (high_socket.is_valid()) actions.move(high_socket.get(), kLauncherFd);
  actions.close_from(high_socket.is_valid() ? kLauncherFd + 1 : kLauncherFd);
  const SpawnAttributes attributes;
  std::vector<std::string> words = {program.filename().string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (auto& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  std::array<char*, 1> environment = {nullptr};
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, program.c_str(), actions.get(), attributes.get(),
                                  argv.data(), environment.data());
  if (error != 0) return fail(errno_error("run '" + program.string() + "'", error));
  return pid;
}

Result<std::shared_ptr<LauncherConnection>> LauncherConnection::start(
    const std::filesystem::path& program) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail(errno_error("make the launcher socket"));
  }
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  SYMBIONT_TRY(const pid_t pid, spawn_program(program, {}, theirs.get()));
  return std::shared_ptr<LauncherConnection>(new LauncherConnection(std::move(ours), pid));
}

LauncherConnection::LauncherConnection(UniqueFd socket, pid_t pid)
    : socket_(std::move(socket)), pid_(pid), reader_([this] { read_replies(); }) {}

LauncherConnection::~LauncherConnection() {
  (void)::shutdown(socket_.get(),
                   SHUT_RDWR);  // the launcher kills what it started, tidies up and ends
  reader_.join();
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR)
    continue;
}

void LauncherConnection::read_replies() {
  while (true) {
    auto packet = receive_packet(socket_.get());
    const auto reply =
        packet ? decode_reply(packet->text) : Result<ReplyMessage>(fail(packet.error()));
    const MutexLock lock(mutex_);
    if (!reply.has_value()) {
      alive_ = false;
      changed_.notify_all();
      return;
    }
    if (const auto at = entries_.find(reply->id); at != entries_.end()) {
      switch (reply->reply) {
        case Reply::Probed:
        case Reply::Started:
        case Reply::Failed:
          at->second.started = *reply;
          if (!packet->fds.empty()) at->second.relay = std::move(packet->fds.front());
          break;
        case Reply::Usage:
          at->second.usage = *reply;
          break;
        case Reply::Limited:
          at->second.limited = *reply;
          break;
        case Reply::Ended:
          at->second.ended = *reply;
          break;
      }
    }
    changed_.notify_all();
  }
}

bool LauncherConnection::alive() {
  const MutexLock lock(mutex_);
  return alive_;
}

void LauncherConnection::send(const RequestMessage& message, const std::vector<int>& fds) {
  if (send_packet(socket_.get(), encode(message), fds).has_value()) return;
  const MutexLock lock(mutex_);
  alive_ = false;
  changed_.notify_all();
}

Result<LauncherConnection::Started> LauncherConnection::ask(RequestMessage message,
                                                            const std::vector<int>& fds) {
  {
    const MutexLock lock(mutex_);
    message.id = next_id_++;
    entries_.emplace(message.id, Entry{});
  }
  if (const Status sent = send_packet(socket_.get(), encode(message), fds); !sent.has_value()) {
    const MutexLock lock(mutex_);
    entries_.erase(message.id);
    if (sent.error().code() == ErrorCode::ResourceExhausted) return fail(sent.error());
    alive_ = false;
    return fail(ErrorCode::Unavailable, "symbiont-launcher has ended");
  }
  const MutexLock lock(mutex_);
  while (alive_ && !entries_.at(message.id).started)
    changed_.wait(mutex_);
  Entry& entry = entries_.at(message.id);
  if (!entry.started) {
    entries_.erase(message.id);
    return fail(ErrorCode::Unavailable, "symbiont-launcher ended while it started a process");
  }
  Started started{message.id, *entry.started, std::move(entry.relay)};
  if (started.reply.reply != Reply::Started) entries_.erase(message.id);
  return started;
}

Result<LauncherConnection::Started> LauncherConnection::spawn(const Policy& policy,
                                                              const std::vector<int>& fds,
                                                              std::vector<int> passed) {
  RequestMessage message;
  message.policy = policy;
  message.passed = std::move(passed);
  return ask(std::move(message), fds);
}

Result<ControlReport> LauncherConnection::probe(const Policy& policy) {
  RequestMessage message;
  message.request = Request::Probe;
  message.policy = policy;
  SYMBIONT_TRY(Started answer, ask(std::move(message), {}));
  return std::move(answer.reply.controls);
}

void LauncherConnection::send_signal(std::uint64_t id, int signal) {
  RequestMessage message;
  message.request = Request::Signal;
  message.id = id;
  message.signal = signal;
  send(message, {});
}

ReplyMessage LauncherConnection::usage(std::uint64_t id) {
  RequestMessage message;
  message.request = Request::Usage;
  message.id = id;
  {
    const MutexLock lock(mutex_);
    const auto at = entries_.find(id);
    if (at != entries_.end()) at->second.usage.reset();
  }
  send(message, {});
  const auto deadline = steady_clock::now() + std::chrono::seconds(1);
  const MutexLock lock(mutex_);
  while (true) {
    const auto at = entries_.find(id);
    if (at == entries_.end()) return {};
    if (at->second.ended) return *at->second.ended;
    if (at->second.usage) return *at->second.usage;
    if (!alive_ || changed_.wait_until(mutex_, deadline) == std::cv_status::timeout) return {};
  }
}

Status LauncherConnection::limit_memory(std::uint64_t id, std::uint64_t bytes) {
  RequestMessage message;
  message.request = Request::LimitMemory;
  message.id = id;
  message.memory_bytes = bytes;
  {
    const MutexLock lock(mutex_);
    const auto at = entries_.find(id);
    if (at != entries_.end()) at->second.limited.reset();
  }
  send(message, {});
  const auto deadline = steady_clock::now() + kLimitPatience;
  const MutexLock lock(mutex_);
  while (true) {
    const auto at = entries_.find(id);
    if (at == entries_.end() || at->second.ended || !alive_) return {};  // it holds nothing
    if (const auto& answer = at->second.limited) {
      if (answer->step.empty()) return {};
      return fail(errno_error("limit a process's memory: " + answer->step, answer->sys_errno));
    }
    if (changed_.wait_until(mutex_, deadline) == std::cv_status::timeout)
      return fail(ErrorCode::DeadlineExceeded, "symbiont-launcher does not answer");
  }
}

std::optional<ReplyMessage> LauncherConnection::wait_ended(std::uint64_t id,
                                                           steady_clock::time_point deadline) {
  const MutexLock lock(mutex_);
  while (true) {
    const auto at = entries_.find(id);
    if (at == entries_.end()) return std::nullopt;
    if (at->second.ended) return at->second.ended;
    if (!alive_) {
      ReplyMessage gone;
      gone.reply = Reply::Ended;
      gone.id = id;
      return gone;
    }
    if (changed_.wait_until(mutex_, deadline) == std::cv_status::timeout && !at->second.ended) {
      return std::nullopt;
    }
  }
}

void LauncherConnection::forget(std::uint64_t id) {
  const MutexLock lock(mutex_);
  entries_.erase(id);
}

}  // namespace symbiont::sandbox
