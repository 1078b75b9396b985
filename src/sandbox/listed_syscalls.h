#ifndef SYMBIONT_SANDBOX_LISTED_SYSCALLS_H_
#define SYMBIONT_SANDBOX_LISTED_SYSCALLS_H_

// Which system calls a profile may name in process_limits.allowed_syscalls.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace symbiont::sandbox {

/// The calls that no list allows: they would undo the sandbox or change the host.
[[nodiscard]] std::span<const std::string_view> never_listed_syscalls();

/// Whether a worker's filter checks the arguments of this call: listing it does not lift that.
[[nodiscard]] bool has_worker_rule(std::string_view name);

/// Whose list it is: a program's replaces its baseline, a worker's is added to its filter.
enum class ListOf : std::uint8_t { Program, Worker };

/// InvalidArgument names the first of `names` that is no system call, is never allowed by a list,
/// or looks into other processes while `debugging_disabled`.
[[nodiscard]] Status check_listed_syscalls(std::span<const std::string> names,
                                           bool debugging_disabled,
                                           ListOf whose);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_LISTED_SYSCALLS_H_
