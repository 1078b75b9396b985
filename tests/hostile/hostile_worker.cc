// A stand-in for the worker that tries one attack, named in argv[1], after locking itself down like
// the real one. With "--unconfined" in argv[2] it tries the same without: every attack has to
// succeed there, or it proves nothing. Exit codes: 0 the attack succeeded, 1 it was refused (errno
// on stderr), 2 unknown attack, 3 lockdown failed.

#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "sandbox/lockdown.h"

namespace {

using Attack = std::function<bool()>;

bool call(long result) {
  return result >= 0;
}  // NOLINT(google-runtime-int): syscall's type

bool open_socket(int family, int type, int protocol = 0) {
  return call(::socket(family, type | SOCK_CLOEXEC, protocol));
}

bool use_memory(std::size_t mebibytes) {
  for (std::size_t i = 0; i < mebibytes; ++i) {
    void* page =
        ::mmap(nullptr, 1U << 20U, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return false;
    std::memset(page, 1, 1U << 20U);
  }
  return true;
}

bool run_code_from_memory() {
  void* page =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page != MAP_FAILED;
}

bool make_code_executable() {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page != MAP_FAILED && ::mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}

bool fork_a_child() {
  const auto pid =
      static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (pid == 0) ::_exit(0);
  return pid > 0;
}

bool clone3_a_child() {
  std::uint64_t arguments[11] = {};
  arguments[4] = SIGCHLD;
  const long pid =
      ::syscall(SYS_clone3, arguments, sizeof arguments);  // NOLINT(google-runtime-int)
  if (pid == 0) ::_exit(0);
  return pid > 0;
}

bool execute_shell() {
  const char* const argv[] = {"/bin/true", nullptr};
  ::execv(argv[0], const_cast<char* const*>(argv));  // NOLINT: exec's interface
  return false;
}

bool burn_processor() {
  rusage used{};
  while (::getrusage(RUSAGE_SELF, &used) == 0 && used.ru_utime.tv_sec < 30)
    continue;
  return true;
}

bool int80() {
#if defined(__x86_64__)
  long result = 0;  // NOLINT(google-runtime-int): a register
  asm volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");  // getpid of the 32-bit table
  return result > 0;
#else
  return false;
#endif
}

bool connect_abstract() {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return fd >= 0;
}

bool take_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  return fd >= 0 && ::bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0;
}

bool start_threads(int count) {
  std::vector<std::thread> threads;
  try {
    for (int i = 0; i < count; ++i)
      threads.emplace_back([] { ::poll(nullptr, 0, 100); });
  } catch (const std::system_error&) {
    for (auto& thread : threads)
      thread.join();
    return false;
  }
  for (auto& thread : threads)
    thread.join();
  return true;
}

bool write_file(const char* path) {
  if (!call(::open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600))) return false;
  return ::unlink(path) == 0;
}

std::map<std::string, Attack> attacks() {
  return {
      {"open_passwd", [] { return call(::open("/etc/passwd", O_RDONLY | O_CLOEXEC)); }},
      {"open_proc", [] { return call(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC)); }},
      {"openat2",
       [] {
         std::uint64_t how[3] = {O_RDONLY | O_CLOEXEC, 0, 0};
         return call(::syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", how, sizeof how));
       }},
      {"write_file",
       [] { return write_file(("/tmp/symbiont-hostile-" + std::to_string(::getpid())).c_str()); }},
      {"stat_root",
       [] {
         struct stat info{};
         return ::stat("/etc/passwd", &info) == 0;
       }},
      {"list_root", [] { return call(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)); }},
      {"chroot", [] { return ::chroot("/") == 0; }},
      {"mount_tmpfs", [] { return ::mount("x", "/tmp", "tmpfs", 0, nullptr) == 0; }},
      {"remount_root",
       [] { return ::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND, nullptr) == 0; }},
      {"unshare_user", [] { return ::unshare(CLONE_NEWUSER) == 0; }},
      {"setns", [] { return ::setns(0, 0) == 0 || errno == EINVAL; }},
      {"tcp", [] { return open_socket(AF_INET, SOCK_STREAM); }},
      {"tcp6", [] { return open_socket(AF_INET6, SOCK_STREAM); }},
      {"take_port", take_port},
      {"mptcp", [] { return open_socket(AF_INET, SOCK_STREAM, 262); }},
      {"udp", [] { return open_socket(AF_INET, SOCK_DGRAM); }},
      {"netlink", [] { return open_socket(AF_NETLINK, SOCK_RAW); }},
      {"vsock", [] { return open_socket(AF_VSOCK, SOCK_STREAM); }},
      {"unix", connect_abstract},
      {"socketpair",
       [] {
         int ends[2] = {};
         return ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0;
       }},
      {"io_uring",
       [] {
         io_uring_params parameters{};
         return call(::syscall(SYS_io_uring_setup, 4, &parameters));
       }},
      {"thread", [] { return start_threads(1); }},
      {"threads_64", [] { return start_threads(64); }},
      {"fork", fork_a_child},
      {"clone3", clone3_a_child},
      {"vfork",
       [] {
         const pid_t pid = ::vfork();  // NOLINT: the attack
         if (pid == 0) ::_exit(0);
         return pid > 0;
       }},
      {"exec", execute_shell},
      {"memfd", [] { return call(::memfd_create("x", MFD_CLOEXEC)); }},
      {"ptrace", [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0; }},
      {"process_vm_readv",
       [] { return call(::syscall(SYS_process_vm_readv, ::getpid(), nullptr, 0, nullptr, 0, 0)); }},
      {"kill_parent", [] { return ::kill(::getppid(), 0) == 0; }},
      {"pidfd_open", [] { return call(::syscall(SYS_pidfd_open, ::getpid(), 0)); }},
      {"bpf",
       [] {
         return call(::syscall(SYS_bpf, 5, nullptr, 0)) || errno == EFAULT || errno == EINVAL ||
                errno == E2BIG;
       }},
      {"perf",
       [] {
         return call(::syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0)) || errno == EFAULT;
       }},
      {"userfaultfd", [] { return call(::syscall(SYS_userfaultfd, O_CLOEXEC)); }},
      {"keyctl", [] { return call(::syscall(SYS_keyctl, 0, -3, 1)); }},
      {"shmget", [] { return call(::syscall(SYS_shmget, 0, 4096, 0600)); }},
      {"rwx_memory", run_code_from_memory},
      {"make_executable", make_code_executable},
      {"int80", int80},
      {"setuid_root", [] { return call(::syscall(SYS_setresuid, 0, 0, 0)); }},
      {"raise_limit",
       [] {
         const rlimit limit{4096, 4096};
         return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
       }},
      {"dumpable", [] { return ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0; }},
      {"affinity",
       [] {
         cpu_set_t all;
         std::memset(&all, 0xff, sizeof all);
         return ::sched_setaffinity(0, sizeof all, &all) == 0;
       }},
      {"reboot", [] { return call(::syscall(SYS_reboot, 0, 0, 0, nullptr)) || errno == EINVAL; }},
      {"tiocsti", [] { return call(::syscall(SYS_ioctl, 0, 0x5412, "x")) || errno == ENOTTY; }},
      {"memory_600", [] { return use_memory(600); }},
      {"memory_80", [] { return use_memory(80); }},
      {"memory_30", [] { return use_memory(30); }},
      {"burn", burn_processor},
      {"hang",
       [] {
         while (true)
           ::poll(nullptr, 0, 1000);
         return true;
       }},
      {"crash",
       [] {
         volatile int* volatile nowhere = nullptr;
         *nowhere = 1;
         return true;
       }},
      {"nothing", [] { return true; }},
      {"inherited_fds",
       [] {
         for (int fd = 4; fd < 64; ++fd) {
           if (::fcntl(fd, F_GETFD) >= 0) return true;
         }
         return false;
       }},
      {"environment", [] { return environ != nullptr && environ[0] != nullptr; }},
  };
}

}  // namespace

int main(int argc, char** argv) {
  const auto all = attacks();
  const auto at = argc > 1 ? all.find(argv[1]) : all.end();
  if (at == all.end()) return 2;
  const bool unconfined = argc > 2 && std::string(argv[2]) == "--unconfined";
  if (!unconfined) {
    const auto locked = symbiont::sandbox::Lockdown::before_load();
    if (!locked.has_value()) {
      const std::string text = locked.error().message();
      return ::write(3, text.data(), text.size()) < 0 ? 4 : 3;
    }
    // Tell the test that the lock is on, and let it look at this process before anything happens.
    char go = 0;
    if (::write(3, "locked", 6) != 6 || ::read(3, &go, 1) != 1) return 4;
    if (argc > 2 && std::string(argv[2]) == "--inference" &&
        !locked->before_inference().has_value())
      return 3;
  }
  return at->second() ? 0 : 1;
}
