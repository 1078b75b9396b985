#include "runners/random.h"

#include <sys/random.h>

#include <cerrno>

#include <fmt/core.h>

#include "base/result.h"

namespace symbiont {

std::uint64_t random_u64() {
  std::uint64_t value = 0;
  ssize_t got = -1;
  do {
    got = ::getrandom(&value, sizeof value, 0);
  } while (got < 0 && errno == EINTR);
  SYMBIONT_CHECK(got == static_cast<ssize_t>(sizeof value), "getrandom gives 8 bytes at once");
  return value;
}

std::string new_execution_id() {
  return fmt::format("exec-{:016x}{:016x}", random_u64(), random_u64());
}

}  // namespace symbiont
