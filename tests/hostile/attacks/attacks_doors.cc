// Side doors: what the caller left lying about, and interfaces of the kernel that reach past every
// file and socket.

#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sys/klog.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "attack.h"

namespace symbiont::attacks {
namespace {

Outcome read_environment(Arguments a) {
  const char* value = std::getenv(argument(a, 0));  // NOLINT(concurrency-mt-unsafe): one thread
  return value != nullptr ? Outcome::Succeeded : blocked_because("not in the environment");
}

Outcome read_left_descriptor(Arguments a) {
  return read_descriptor(static_cast<int>(number(a, 0)));
}

Outcome write_left_descriptor(Arguments a) {
  return tried(::write(static_cast<int>(number(a, 0)), "attack", 6), "write");
}

Outcome open_below_left_directory(Arguments a) {
  const int fd = ::openat(static_cast<int>(number(a, 0)), argument(a, 1), O_RDONLY | O_CLOEXEC);
  return fd < 0 ? blocked("openat") : read_descriptor(fd);
}

Outcome find_any_descriptor(Arguments) {
  constexpr int kHighest = 1024;
  for (int fd = 3; fd < kHighest; ++fd)
    if (::fcntl(fd, F_GETFD) >= 0) return Outcome::Succeeded;
  return blocked_because("nothing above the standard streams");
}

/// Input opened for reading, opened again for writing by the link in /proc.
Outcome reopen_input(Arguments) {
  return tried(::open("/proc/self/fd/0", O_WRONLY | O_CLOEXEC), "/proc/self/fd/0");
}

/// The parent directory of an input that lies outside, through its descriptor.
Outcome leave_by_input(Arguments a) {
  const int fd = ::openat(STDIN_FILENO, argument(a, 0), O_RDONLY | O_CLOEXEC);
  return fd < 0 ? blocked("openat") : read_descriptor(fd);
}

/// Looks for a word in the command lines of all processes in sight.
Outcome find_process(Arguments a) {
  DIR* processes = ::opendir("/proc");
  if (processes == nullptr) return blocked("/proc");
  const std::string_view word = argument(a, 0);
  const std::string own = std::to_string(::getpid());
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
  const auto next = [&] { return ::readdir(processes); };
  for (const dirent* entry = next(); entry != nullptr; entry = next()) {
    const std::string name = entry->d_name;
    if (name.find_first_not_of("0123456789") != std::string::npos || name == own) continue;
    const int fd = ::open(("/proc/" + name + "/cmdline").c_str(), O_RDONLY | O_CLOEXEC);
    std::array<char, 4096> line{};
    const ssize_t got = fd < 0 ? 0 : ::read(fd, line.data(), line.size());
    if (fd >= 0) ::close(fd);
    // pid 1 of the sandbox may be shown with the command it was started for.
    if (got > 0 && name != "1" &&
        std::string_view(line.data(), static_cast<std::size_t>(got)).find(word) !=
            std::string_view::npos)
      return Outcome::Succeeded;
  }
  return blocked_because("no process has that word");
}

/// The environment of what stands behind the program, with a secret of the caller in it.
Outcome find_in_file(Arguments a) {
  const int fd = ::open(argument(a, 0), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return blocked(argument(a, 0));
  std::string text;
  std::array<char, 4096> block{};
  for (ssize_t got = ::read(fd, block.data(), block.size()); got > 0;
       got = ::read(fd, block.data(), block.size()))
    text.append(block.data(), static_cast<std::size_t>(got));
  return text.find(argument(a, 1)) != std::string::npos ? Outcome::Succeeded
                                                        : blocked_because("the word is not in it");
}

/// What pid 1 has open: directories and channels of those who set up the sandbox.
Outcome open_descriptors_of_first(Arguments) {
  constexpr int kHighest = 256;
  for (int fd = 0; fd < kHighest; ++fd) {
    const std::string path = "/proc/1/fd/" + std::to_string(fd);
    if (::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK) >= 0) return Outcome::Succeeded;
  }
  return blocked("/proc/1/fd");
}

Outcome read_file(Arguments a) {
  return read_path(argument(a, 0));
}

Outcome open_to_write(Arguments a) {
  return tried(::open(argument(a, 0), O_WRONLY | O_CLOEXEC), argument(a, 0));
}

Outcome kernel_log(Arguments) {
  std::array<char, 256> text{};
  constexpr int kReadAll = 3;
  return tried(::klogctl(kReadAll, text.data(), static_cast<int>(text.size())), "syslog");
}

/// Sets the speed of the clock to what it is.
Outcome set_clock(Arguments) {
  timex state{};
  if (::adjtimex(&state) < 0) return blocked("adjtimex");
  state.modes = ADJ_FREQUENCY;
  return tried(::adjtimex(&state), "adjtimex");
}

Outcome set_clock_time(Arguments) {
  // The time zone alone, and that of Greenwich: the same right, and the time stays what it is.
  const struct timezone greenwich{};
  return tried(::settimeofday(nullptr, &greenwich), "settimeofday");
}

Outcome set_host_name(Arguments a) {
  return tried(::sethostname(argument(a, 0), std::strlen(argument(a, 0))), "sethostname");
}

Outcome reboot(Arguments) {
  const std::array past = {EINVAL};
  return reached(::syscall(SYS_reboot, 0, 0, 0, nullptr), past, "reboot");
}

Outcome load_module(Arguments) {
  std::array<char, 64> nonsense{};
  const std::array past = {ENOEXEC, EINVAL, EBADMSG};
  return reached(::syscall(SYS_init_module, nonsense.data(), nonsense.size(), ""), past,
                 "init_module");
}

Outcome load_kernel(Arguments) {
  constexpr unsigned kWrongFlags = 0x8000;
  const std::array past = {EINVAL};
  return reached(::syscall(SYS_kexec_load, 0, 0, nullptr, kWrongFlags), past, "kexec_load");
}

Outcome add_swap(Arguments) {
  const std::array past = {ENOENT, EINVAL};
  return reached(::swapon("/nonexistent", 0), past, "swapon");
}

Outcome account_processes(Arguments) {
  const std::array past = {ENOENT};
  return reached(::syscall(SYS_acct, "/nonexistent"), past, "acct");
}

Outcome watch_files(Arguments) {
  return tried(::syscall(SYS_fanotify_init, 0x4 /* FAN_CLASS_CONTENT */, 0), "fanotify_init");
}

Outcome port_access(Arguments) {
#if defined(__x86_64__)
  const std::array<int, 0> past{};
  return reached(::syscall(SYS_ioperm, 0x80, 1, 1), past, "ioperm");
#else
  return not_applicable("no ports");
#endif
}

Outcome load_bpf(Arguments) {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = 4;
  attributes.value_size = 8;
  attributes.max_entries = 1;
  return tried(::syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes), "bpf");
}

Outcome measure_everyone(Arguments) {
  perf_event_attr attributes{};
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.size = sizeof attributes;
  attributes.config = PERF_COUNT_SW_CPU_CLOCK;
  return tried(::syscall(SYS_perf_event_open, &attributes, -1, 0, -1, 0), "perf_event_open");
}

Outcome handle_faults(Arguments) {
  return tried(::syscall(SYS_userfaultfd, O_CLOEXEC), "userfaultfd");
}

Outcome ring(Arguments) {
  constexpr std::uint8_t kNothing = 0;
  const int result = submit_to_ring(kNothing, -1, 0, 0, 0);
  errno = -result;
  return tried(result, "io_uring_setup");
}

Outcome read_keyring(Arguments) {
  return tried(::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1), "keyctl");
}

Outcome secret_memory(Arguments) {
  return tried(::syscall(SYS_memfd_secret, 0), "memfd_secret");
}

Outcome move_pages(Arguments) {
  const std::array<unsigned long, 1> first_node = {
      1};  // NOLINT(google-runtime-int): the call's type
  constexpr int kNodes = 8;
  return tried(::syscall(SYS_migrate_pages, 0, kNodes, first_node.data(), first_node.data()),
               "migrate_pages");
}

constexpr auto kAttacks = std::to_array<Attack>({
    {"read_environment", "finds a secret in the caller's environment", "NAME", read_environment},
    {"read_left_descriptor", "reads a file that the caller left open", "FD", read_left_descriptor},
    {"write_left_descriptor", "writes to a file that the caller left open", "FD",
     write_left_descriptor},
    {"open_below_left_directory", "opens a file below a directory that the caller left open",
     "FD NAME", open_below_left_directory},
    {"find_any_descriptor", "finds anything beside the standard streams", "", find_any_descriptor},
    {"reopen_input", "opens its input again, to write", "", reopen_input},
    {"leave_by_input", "walks out of a directory that is its input", "NAME", leave_by_input},
    {"find_process", "reads the command lines of the host", "WORD", find_process},
    {"read_first_environment", "reads the environment of pid 1", "FILE WORD", find_in_file},
    {"open_descriptors_of_first", "opens what pid 1 has open", "", open_descriptors_of_first},
    {"read_process_environment", "reads the environment of a process of the host", "FILE",
     read_file},
    {"read_process_memory", "reads the memory of a process of the host by /proc", "FILE",
     open_to_write},
    {"read_kernel_memory", "reads the kernel's memory by /proc", "FILE", read_file},
    {"press_sysrq", "opens the emergency keys of the kernel", "FILE", open_to_write},
    {"change_core_pattern", "opens the setting that names a program for crashes", "FILE",
     open_to_write},
    {"kernel_log", "reads the kernel's log by its call", "", kernel_log},
    {"set_clock", "sets the speed of the host's clock", "", set_clock},
    {"set_clock_time", "sets the host's clock", "", set_clock_time},
    {"set_host_name", "renames the host", "NAME", set_host_name},
    {"reboot", "restarts the host", "", reboot},
    {"load_module", "loads code into the kernel", "", load_module},
    {"load_kernel", "exchanges the kernel", "", load_kernel},
    {"add_swap", "adds swap space", "", add_swap},
    {"account_processes", "has all processes logged to a file", "", account_processes},
    {"watch_files", "watches and permits everyone's opening of files", "", watch_files},
    {"port_access", "talks to hardware", "", port_access},
    {"load_bpf", "loads tables and programs of BPF", "", load_bpf},
    {"measure_everyone", "measures all processes", "", measure_everyone},
    {"handle_faults", "answers page faults of the kernel itself", "", handle_faults},
    {"ring", "does system calls that no filter sees", "", ring},
    {"read_keyring", "opens the caller's session keyring", "", read_keyring},
    {"secret_memory", "takes memory that the host cannot look into", "", secret_memory},
    {"move_pages", "moves memory between the nodes of the host", "", move_pages},
});

}  // namespace

std::span<const Attack> door_attacks() {
  return kAttacks;
}

}  // namespace symbiont::attacks
