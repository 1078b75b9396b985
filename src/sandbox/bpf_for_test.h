#ifndef SYMBIONT_SANDBOX_BPF_FOR_TEST_H_
#define SYMBIONT_SANDBOX_BPF_FOR_TEST_H_

// Evaluates a filter as the kernel does, so that tests can ask it about any call.

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>

#include <gtest/gtest.h>

#include "sandbox/seccomp_filter.h"

namespace symbiont::sandbox {

/// What the kernel would do with `call`. Aborts the test on an instruction a filter of ours never
/// uses.
inline std::uint32_t evaluate(const Filter& filter, const seccomp_data& call) {
  std::uint32_t accumulator = 0;
  for (std::size_t at = 0; at < filter.size(); ++at) {
    const sock_filter& op = filter[at];
    bool jump = false;
    switch (op.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&accumulator, reinterpret_cast<const char*>(&call) + op.k, sizeof accumulator);
        continue;
      case BPF_ALU | BPF_AND | BPF_K:
        accumulator &= op.k;
        continue;
      case BPF_RET | BPF_K:
        return op.k;
      case BPF_JMP | BPF_JA:
        at += op.k;
        continue;
      case BPF_JMP | BPF_JEQ | BPF_K:
        jump = accumulator == op.k;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        jump = accumulator >= op.k;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        jump = (accumulator & op.k) != 0;
        break;
      default:
        ADD_FAILURE() << "unexpected instruction " << op.code;
        return 0;
    }
    at += jump ? op.jt : op.jf;
  }
  ADD_FAILURE() << "the filter ends without a decision";
  return 0;
}

inline seccomp_data call_of(int number, std::initializer_list<std::uint64_t> arguments = {}) {
  seccomp_data call{};
  call.nr = number;
  call.arch = AUDIT_ARCH_X86_64;
  std::size_t index = 0;
  for (const std::uint64_t argument : arguments)
    call.args[index++] = argument;
  return call;
}

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_BPF_FOR_TEST_H_
