// Attacks on what others need too: memory by all its names, processor time, descriptors, time
// itself.

#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "attack.h"

namespace symbiont::attacks {
namespace {

constexpr std::size_t kMebibyte = 1U << 20U;
constexpr unsigned kLife = 120;  // seconds

bool touch(std::uint64_t mebibytes, int flags) {
  for (std::uint64_t i = 0; i < mebibytes; ++i) {
    void* page = ::mmap(nullptr, kMebibyte, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return false;
    std::memset(page, 1, kMebibyte);
  }
  return true;
}

Outcome private_memory(Arguments a) {
  return touch(number(a, 0), MAP_PRIVATE) ? Outcome::Succeeded : blocked("mmap");
}

Outcome shared_memory(Arguments a) {
  return touch(number(a, 0), MAP_SHARED) ? Outcome::Succeeded : blocked("mmap");
}

Outcome memory_file(Arguments a) {
  const int fd = ::memfd_create("attack", MFD_CLOEXEC);
  if (fd < 0) return blocked("memfd_create");
  const std::vector<char> block(kMebibyte, 1);
  for (std::uint64_t i = 0; i < number(a, 0); ++i)
    if (::write(fd, block.data(), block.size()) < 0) return blocked("write");
  return Outcome::Succeeded;
}

Outcome temporary_files(Arguments a) {
  const std::string directory = argument(a, 0);
  const std::vector<char> block(kMebibyte, 1);
  for (std::uint64_t i = 0; i < number(a, 1); ++i) {
    const int fd = ::open((directory + "/m" + std::to_string(i)).c_str(),
                          O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return blocked("open");
    if (::write(fd, block.data(), block.size()) < 0) return blocked("write");
    ::close(fd);
  }
  return Outcome::Succeeded;
}

Outcome locked_file(Arguments a) {
  const int fd = ::open(argument(a, 0), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const std::size_t size = number(a, 1) * kMebibyte;
  if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(size)) != 0) return blocked("ftruncate");
  const void* pages = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (pages == MAP_FAILED) return blocked("mmap");
  return tried(::mlock(pages, size), "mlock");
}

Outcome stacks(Arguments a) {
  constexpr std::size_t kStack = 4 * kMebibyte;
  std::vector<std::thread> threads;
  bool refused = false;
  try {
    for (std::uint64_t i = 0; i < number(a, 0) / 4; ++i) {
      threads.emplace_back([] {
        std::array<volatile char, kStack> frame;  // NOLINT: filled below
        for (volatile char& byte : frame)
          byte = 1;
        ::poll(nullptr, 0, 1000);
      });
    }
  } catch (const std::system_error&) {
    refused = true;
  }
  for (std::thread& thread : threads)
    thread.join();
  return refused ? blocked_because("a thread was refused") : Outcome::Succeeded;
}

/// No child is over the limit, all of them are.
Outcome memory_of_children(Arguments a) {
  constexpr std::uint64_t kChildren = 4;
  std::array<pid_t, kChildren> children{};
  std::array<int, 2> filled{};
  if (::pipe2(filled.data(), O_CLOEXEC) != 0) return blocked("pipe");
  for (pid_t& child : children) {
    child = ::fork();
    if (child < 0) return blocked("fork");
    if (child == 0) {
      ::close(filled[0]);
      const char done = touch(number(a, 0) / kChildren, MAP_PRIVATE) ? 'y' : 'n';
      (void)!::write(filled[1], &done, 1);
      ::alarm(kLife);
      ::pause();
      ::_exit(0);
    }
  }
  ::close(filled[1]);
  std::uint64_t full = 0;
  char answer = 0;
  // A child that was killed tells nothing, and the others keep the pipe open: look, then wait.
  pollfd waiting{.fd = filled[0], .events = POLLIN, .revents = 0};
  constexpr int kPatienceMs = 10000;
  while (full < kChildren && ::poll(&waiting, 1, kPatienceMs) == 1 &&
         ::read(filled[0], &answer, 1) == 1 && answer == 'y')
    ++full;
  std::uint64_t alive = 0;
  for (const pid_t child : children) {
    alive += ::waitpid(child, nullptr, WNOHANG) == 0 ? 1U : 0U;
    ::kill(child, SIGKILL);
  }
  return full == kChildren && alive == kChildren ? Outcome::Succeeded
                                                 : blocked_because("a child was killed");
}

Outcome pipes(Arguments a) {
  const std::vector<char> block(kMebibyte, 1);
  for (std::uint64_t i = 0; i < number(a, 0); ++i) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return blocked("pipe");
    if (::fcntl(ends[1], F_SETPIPE_SZ, kMebibyte) < 0) return blocked("F_SETPIPE_SZ");
    if (::write(ends[1], block.data(), block.size()) < 0) return blocked("write");
  }
  return Outcome::Succeeded;
}

Outcome socket_buffers(Arguments a) {
  std::uint64_t sent = 0;
  const std::vector<char> block(1U << 16U, 1);
  while (sent < number(a, 0) * kMebibyte) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0)
      return blocked("socketpair");
    for (const int end : ends) {
      for (ssize_t wrote = 0; wrote >= 0; sent += static_cast<std::uint64_t>(wrote > 0 ? wrote : 0))
        wrote = ::send(end, block.data(), block.size(), MSG_NOSIGNAL);
    }
  }
  return Outcome::Succeeded;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

/// More than a fifth of a processor over three seconds: twice the limit it is given, and little
/// enough for a busy machine.
Outcome processors(Arguments a) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto end = start + std::chrono::seconds(3);
  std::vector<std::thread> threads;
  threads.reserve(number(a, 0));
  for (std::uint64_t i = 0; i < number(a, 0); ++i) {
    threads.emplace_back([end] {
      while (Clock::now() < end)
        continue;
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  rusage used{};
  if (::getrusage(RUSAGE_SELF, &used) != 0) return blocked("getrusage");
  const double wall = std::chrono::duration<double>(Clock::now() - start).count();
  const double share = (seconds(used.ru_utime) + seconds(used.ru_stime)) / wall;
  (void)std::fprintf(stderr, "%.2f processors\n", share);
  return share > 0.2 ? Outcome::Succeeded : blocked_because("its share is kept");
}

Outcome sleep_for_ever(Arguments) {
  ::alarm(kLife);
  for (;;)
    ::pause();
}

Outcome sleep_deaf(Arguments) {
  sigset_t all;
  ::sigfillset(&all);
  ::sigdelset(&all, SIGALRM);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);  // NOLINT(concurrency-mt-unsafe): one thread
  return sleep_for_ever({});
}

Outcome spin_for_ever(Arguments) {
  ::alarm(kLife);
  for (;;)
    asm volatile("");  // a loop without effect could be left out
}

Outcome sleep_as_daemon(Arguments) {
  const pid_t child = ::fork();
  if (child < 0) return blocked("fork");
  if (child == 0) {
    ::setsid();
    ::signal(SIGTERM, SIG_IGN);  // NOLINT(cert-err33-c): best effort
    return sleep_deaf({});
  }
  return sleep_deaf({});
}

Outcome threads(Arguments a) {
  std::vector<std::thread> started;
  bool refused = false;
  try {
    for (std::uint64_t i = 0; i < number(a, 0); ++i)
      started.emplace_back([] { ::poll(nullptr, 0, 500); });
  } catch (const std::system_error&) {
    refused = true;
  }
  for (std::thread& thread : started)
    thread.join();
  return refused ? blocked_because("a thread was refused") : Outcome::Succeeded;
}

Outcome descriptors(Arguments a) {
  const rlim_t wanted = number(a, 0);
  const rlimit limit{.rlim_cur = wanted + 64, .rlim_max = wanted + 64};
  (void)::setrlimit(RLIMIT_NOFILE, &limit);  // what counts is how many can be open
  for (rlim_t i = 0; i < wanted; ++i)
    if (::open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) return blocked("open");
  return Outcome::Succeeded;
}

Outcome raise_limits(Arguments) {
  const rlimit limit{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
  bool raised = true;
  for (const auto resource : {RLIMIT_FSIZE, RLIMIT_CORE})
    raised = raised && ::setrlimit(resource, &limit) == 0;
  return raised ? Outcome::Succeeded : blocked("setrlimit");
}

Outcome system_v_memory(Arguments a) {
  const int id = ::shmget(IPC_PRIVATE, number(a, 0) * kMebibyte, IPC_CREAT | 0600);
  if (id < 0) return blocked("shmget");
  void* at = ::shmat(id, nullptr, 0);
  ::shmctl(id, IPC_RMID, nullptr);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): how shmat fails
  if (at == reinterpret_cast<void*>(-1)) return blocked("shmat");
  std::memset(at, 1, number(a, 0) * kMebibyte);
  return Outcome::Succeeded;
}

Outcome system_v_queue(Arguments) {
  const int id = ::msgget(IPC_PRIVATE, IPC_CREAT | 0600);
  if (id < 0) return blocked("msgget");
  ::msgctl(id, IPC_RMID, nullptr);
  return Outcome::Succeeded;
}

Outcome system_v_semaphores(Arguments) {
  const int id = ::semget(IPC_PRIVATE, 200, IPC_CREAT | 0600);
  if (id < 0) return blocked("semget");
  ::semctl(id, 0, IPC_RMID);
  return Outcome::Succeeded;
}

Outcome message_queue(Arguments) {
  const mqd_t queue = ::mq_open("/symbiont-attack", O_RDWR | O_CREAT | O_CLOEXEC, 0600, nullptr);
  if (queue < 0) return blocked("mq_open");
  ::mq_unlink("/symbiont-attack");
  return Outcome::Succeeded;
}

/// Room that lasts after the end: keys and their text are not the process's memory.
Outcome keys(Arguments) {
  const auto key =
      ::syscall(SYS_add_key, "user", "attack", "text", 4, -2 /* KEY_SPEC_PROCESS_KEYRING */);
  return tried(key, "add_key");
}

Outcome dump_core(Arguments a) {
  const rlimit limit{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
  (void)::setrlimit(RLIMIT_CORE, &limit);  // where it is refused no core is written
  if (::chdir(argument(a, 0)) != 0) return blocked("chdir");
  ::signal(SIGABRT, SIG_DFL);  // NOLINT(cert-err33-c): the default it has anyway
  ::kill(::getpid(), SIGABRT);
  return blocked_because("it lives");
}

constexpr auto kAttacks = std::to_array<Attack>({
    {"private_memory", "uses memory of its own", "MIB", private_memory},
    {"shared_memory", "uses memory that could be shared", "MIB", shared_memory},
    {"memory_file", "uses memory through a file in memory", "MIB", memory_file},
    {"temporary_files", "uses memory through temporary files", "DIRECTORY MIB", temporary_files},
    {"locked_file", "locks a big file in memory", "FILE MIB", locked_file},
    {"stacks", "uses memory by the stacks of threads", "MIB", stacks},
    {"memory_of_children", "spreads memory over children", "MIB", memory_of_children},
    {"pipes", "uses the kernel's memory by full pipes", "MIB", pipes},
    {"socket_buffers", "uses the kernel's memory by full sockets", "MIB", socket_buffers},
    {"processors", "uses all processors", "THREADS", processors},
    {"threads", "starts threads without end", "COUNT", threads},
    {"sleep_for_ever", "does not end", "", sleep_for_ever},
    {"sleep_deaf", "does not end and ignores signals", "", sleep_deaf},
    {"spin_for_ever", "does not end and uses the processor", "", spin_for_ever},
    {"sleep_as_daemon", "does not end in two sessions", "", sleep_as_daemon},
    {"descriptors", "opens descriptors without end", "COUNT", descriptors},
    {"raise_limits", "lifts its resource limits", "", raise_limits},
    {"system_v_memory", "uses memory that outlives it", "MIB", system_v_memory},
    {"system_v_queue", "makes a message queue that outlives it", "", system_v_queue},
    {"system_v_semaphores", "makes semaphores that outlive it", "", system_v_semaphores},
    {"message_queue", "makes a POSIX message queue that outlives it", "", message_queue},
    {"keys", "stores data in the kernel's keyrings", "", keys},
    {"dump_core", "leaves an image of its memory in its write path", "DIRECTORY", dump_core},
});

}  // namespace

std::span<const Attack> resource_attacks() {
  return kAttacks;
}

}  // namespace symbiont::attacks
