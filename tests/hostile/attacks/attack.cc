// attack NAME [ARGUMENT...]: tries one attack. Exit code 0: it succeeded; 1: it was blocked (errno
// on stderr); 2: this host lacks what it attacks; 3: wrong usage. attack --list: the attacks as
// JSON. attack --victim: something for them to attack.

#include "attack.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace symbiont::attacks {
namespace {

constexpr int kUsage = 3;

struct Area {
  std::string_view name;
  std::span<const Attack> attacks;
};

std::array<Area, 5> areas() {
  return {{{"files", file_attacks()},
           {"network", network_attacks()},
           {"process", process_attacks()},
           {"resources", resource_attacks()},
           {"doors", door_attacks()}}};
}

void say(std::string_view first, std::string_view second, std::string_view third = "") {
  std::string line(first);
  line.append(second).append(third).append("\n");
  (void)std::fputs(line.c_str(), stderr);  // nobody is left to tell
}

void list() {
  std::string text;
  for (const Area& area : areas()) {
    for (const Attack& attack : area.attacks) {
      text.append(text.empty() ? "[" : ",\n ").append(R"({"name": ")").append(attack.name);
      text.append(R"(", "area": ")").append(area.name);
      text.append(R"(", "tries": ")").append(attack.tries);
      text.append(R"(", "arguments": ")").append(attack.arguments).append(R"("})");
    }
  }
  (void)std::puts(text.append("]").c_str());
}

/// Prints its pid, the address of a secret, and the descriptor of a secret file (argument), then
/// answers each line until its input ends.
int be_a_victim(Arguments arguments) {
  static std::array<char, 16> secret = {"victim's secret"};
  const int fd = arguments.empty() ? -1 : ::open(arguments[0], O_RDONLY | O_CLOEXEC);
  (void)std::printf(
      "%d %llu %d\n", static_cast<int>(::getpid()),
      static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(secret.data())), fd);
  (void)std::fflush(stdout);
  std::array<char, 64> line{};
  while (std::fgets(line.data(), static_cast<int>(line.size()), stdin) != nullptr) {
    (void)std::printf("%s\n", secret.data());
    (void)std::fflush(stdout);
  }
  return 0;
}

int run(std::string_view name, Arguments arguments) {
  for (const Area& area : areas()) {
    for (const Attack& attack : area.attacks)
      if (attack.name == name) return static_cast<int>(attack.run(arguments));
  }
  say("unknown attack: ", name);
  return kUsage;
}

}  // namespace

const char* argument(Arguments arguments, std::size_t index) {
  if (index < arguments.size()) return arguments[index];
  say("an argument is missing", "");
  std::exit(kUsage);  // NOLINT(concurrency-mt-unsafe): before any thread
}

std::uint64_t number(Arguments arguments, std::size_t index) {
  return std::strtoull(argument(arguments, index), nullptr, 10);
}

Outcome blocked(std::string_view step) {
  say(step, ": ", std::strerror(errno));  // NOLINT(concurrency-mt-unsafe): one thread reports
  return Outcome::Blocked;
}

Outcome blocked_because(std::string_view why) {
  say("blocked: ", why);
  return Outcome::Blocked;
}

Outcome not_applicable(std::string_view why) {
  say("not applicable: ", why);
  return Outcome::NotApplicable;
}

Outcome tried(std::int64_t result, std::string_view step) {
  return result >= 0 ? Outcome::Succeeded : blocked(step);
}

Outcome reached(std::int64_t result, std::span<const int> past, std::string_view step) {
  if (result >= 0) return Outcome::Succeeded;
  for (const int error : past)
    if (errno == error) return Outcome::Succeeded;
  return errno == ENOSYS ? not_applicable("the kernel has no such call") : blocked(step);
}

Outcome read_descriptor(int fd) {
  char byte = 0;
  const ssize_t got = ::read(fd, &byte, 1);
  if (got < 0) return blocked("read");
  return got > 0 ? Outcome::Succeeded : blocked_because("it is empty");
}

Outcome read_path(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  return fd < 0 ? blocked(path) : read_descriptor(fd);
}

bool copy_program(const char* from, const char* path) {
  const int in = ::open(from, O_RDONLY | O_CLOEXEC);
  if (in < 0) return false;
  const int out = ::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  bool done = out >= 0;
  constexpr std::size_t kChunk = 1U << 20U;
  for (ssize_t moved = 1; done && moved > 0;) {
    moved = ::sendfile(out, in, nullptr, kChunk);
    done = moved >= 0;
  }
  ::close(in);
  if (out >= 0) ::close(out);  // a file open for writing cannot be executed
  return done;
}

int exit_code_of(int pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR)
    continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int submit_to_ring(std::uint8_t opcode,
                   int fd,
                   std::uint64_t address,
                   std::uint64_t offset,
                   std::uint32_t length) {
  io_uring_params parameters{};
  const int ring = static_cast<int>(::syscall(SYS_io_uring_setup, 4, &parameters));
  if (ring < 0) return -errno;
  const auto map = [ring](std::size_t size, std::uint64_t at) {
    return static_cast<char*>(::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_POPULATE, ring, static_cast<off_t>(at)));
  };
  char* submissions = map(parameters.sq_off.array + parameters.sq_entries * sizeof(std::uint32_t),
                          IORING_OFF_SQ_RING);
  char* completions = map(parameters.cq_off.cqes + parameters.cq_entries * sizeof(io_uring_cqe),
                          IORING_OFF_CQ_RING);
  char* entries = map(parameters.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES);
  io_uring_sqe entry{};
  entry.opcode = opcode;
  entry.fd = fd;
  entry.addr = address;
  entry.off = offset;
  entry.len = length;
  std::memcpy(entries, &entry, sizeof entry);
  const std::uint32_t tail = 1;
  std::memset(submissions + parameters.sq_off.array, 0, sizeof(std::uint32_t));
  std::memcpy(submissions + parameters.sq_off.tail, &tail, sizeof tail);
  if (::syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, nullptr, 0) < 0)
    return -errno;
  io_uring_cqe done{};
  std::memcpy(&done, completions + parameters.cq_off.cqes, sizeof done);
  return done.res;
}

}  // namespace symbiont::attacks

int main(int argc, char** argv) {
  const std::span words(argv, static_cast<std::size_t>(argc));
  if (words.size() < 2) {
    (void)std::fputs("usage: attack NAME [ARGUMENT...] | --list | --victim [FILE]\n", stderr);
    return symbiont::attacks::kUsage;
  }
  const std::string_view name = words[1];
  if (name == "--list") {
    symbiont::attacks::list();
    return 0;
  }
  if (name == "--victim") return symbiont::attacks::be_a_victim(words.subspan(2));
  return symbiont::attacks::run(name, words.subspan(2));
}
