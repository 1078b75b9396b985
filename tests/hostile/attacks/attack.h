#ifndef SYMBIONT_TESTS_HOSTILE_ATTACKS_ATTACK_H_
#define SYMBIONT_TESTS_HOSTILE_ATTACKS_ATTACK_H_

// What the attack programs share. One attack is one small function that says whether it got what it
// wanted. It knows nothing of the sandbox: run by itself as root each of them succeeds.

#include <cstdint>
#include <span>
#include <string_view>

namespace symbiont::attacks {

/// Also the exit code of the program.
enum class Outcome : std::uint8_t {
  Succeeded = 0,
  Blocked = 1,        ///< what stopped it is on stderr
  NotApplicable = 2,  ///< this host lacks what is attacked; the reason is on stderr
};

using Arguments = std::span<char*>;

struct Attack {
  std::string_view name;
  std::string_view tries;  ///< one line for people
  std::string_view arguments;
  Outcome (*run)(Arguments);
};

std::span<const Attack> file_attacks();
std::span<const Attack> network_attacks();
std::span<const Attack> process_attacks();
std::span<const Attack> resource_attacks();
std::span<const Attack> door_attacks();

/// The argument at `index`; ends the program with exit code 3 when it was not given.
const char* argument(Arguments arguments, std::size_t index);
std::uint64_t number(Arguments arguments, std::size_t index);

/// Blocked, with `step` and errno on stderr.
Outcome blocked(std::string_view step);
/// Blocked for a reason that errno does not tell.
Outcome blocked_because(std::string_view why);
Outcome not_applicable(std::string_view why);

/// Succeeded when a system call returned no error.
Outcome tried(std::int64_t result, std::string_view step);
/// Succeeded when the call was refused for its nonsense arguments (`past`), after the kernel's
/// permission checks: the door is open, and nothing was changed by going through it.
Outcome reached(std::int64_t result, std::span<const int> past, std::string_view step);

/// Reads one byte of a path, at least.
Outcome read_path(const char* path);
/// Reads one byte from a descriptor.
Outcome read_descriptor(int fd);
/// Makes `path` an executable copy of `from`; false with errno set.
bool copy_program(const char* from, const char* path);
/// Waits for `pid` and gives its exit code, or -1 when it was killed.
int exit_code_of(int pid);
/// Submits one io_uring operation: its result, or -errno when there is no ring. Opcode and fields
/// as in io_uring(7).
int submit_to_ring(
    std::uint8_t opcode, int fd, std::uint64_t address, std::uint64_t offset, std::uint32_t length);

}  // namespace symbiont::attacks

#endif  // SYMBIONT_TESTS_HOSTILE_ATTACKS_ATTACK_H_
