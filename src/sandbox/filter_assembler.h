#ifndef SYMBIONT_SANDBOX_FILTER_ASSEMBLER_H_
#define SYMBIONT_SANDBOX_FILTER_ASSEMBLER_H_

// The few instruction patterns that every filter of ours is made of.

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>

#include "sandbox/seccomp_filter.h"

namespace symbiont::sandbox {

#if defined(__x86_64__)
constexpr std::uint32_t kAuditArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kAuditArch = AUDIT_ARCH_AARCH64;
#else
#error "no system call table for this architecture"
#endif
constexpr std::uint32_t kX32Bit = 0x40000000;

constexpr std::uint32_t kSocketTypeMask = 0xf;  // SOCK_TYPE_MASK; the rest are flags

/// Appends instructions; every rule leaves the accumulator holding the system call number.
class FilterAssembler {
 public:
  /// Kills foreign architectures and the x32 ABI; leaves the system call number loaded.
  void start() {
    load(offsetof(seccomp_data, arch));
    jump(BPF_JEQ, kAuditArch, 1, 0);
    ret(SECCOMP_RET_KILL_PROCESS);
    load(offsetof(seccomp_data, nr));
    jump(BPF_JGE, kX32Bit, 0, 1);
    ret(SECCOMP_RET_KILL_PROCESS);
  }
  void load(std::size_t offset) {
    emit(BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<std::uint32_t>(offset));
  }
  void ret(std::uint32_t action) { emit(BPF_RET | BPF_K, 0, 0, action); }
  void jump(std::uint16_t test, std::uint32_t value, std::uint8_t yes, std::uint8_t no) {
    emit(static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), yes, no, value);
  }

  void on_call(int number, std::uint32_t action) {
    jump(BPF_JEQ, static_cast<std::uint32_t>(number), 0, 1);
    ret(action);
  }
  /// Allows `number` when argument `index` has high half 0 and none of `forbidden` set, else
  /// `otherwise`.
  void without_bits(int number, unsigned index, std::uint32_t forbidden, std::uint32_t otherwise) {
    jump(BPF_JEQ, static_cast<std::uint32_t>(number), 0, 6);
    load(high_half(index));
    jump(BPF_JEQ, 0, 0, 3);
    load(low_half(index));
    jump(BPF_JSET, forbidden, 1, 0);
    ret(SECCOMP_RET_ALLOW);
    ret(otherwise);
  }
  /// Allows `number` when all of `required` are set in argument `index` and none of `forbidden` in
  /// `other_index`.
  void with_bits(int number,
                 unsigned index,
                 std::uint32_t required,
                 unsigned other_index,
                 std::uint32_t forbidden,
                 std::uint32_t otherwise) {
    jump(BPF_JEQ, static_cast<std::uint32_t>(number), 0, 6);
    load(low_half(other_index));
    jump(BPF_JSET, forbidden, 3, 0);
    load(low_half(index));
    jump(BPF_JSET, required, 0, 1);
    ret(SECCOMP_RET_ALLOW);
    ret(otherwise);
  }
  /// Allows `number` when argument `index` equals one of `values`, else `otherwise`.
  void one_of(int number,
              unsigned index,
              std::initializer_list<std::uint32_t> values,
              std::uint32_t otherwise) {
    const auto count = static_cast<std::uint8_t>(values.size());
    jump(BPF_JEQ, static_cast<std::uint32_t>(number), 0, static_cast<std::uint8_t>(count + 5));
    load(high_half(index));
    jump(BPF_JEQ, 0, 0, static_cast<std::uint8_t>(count + 1));
    load(low_half(index));
    std::uint8_t left = count;
    for (const std::uint32_t value : values) {
      jump(BPF_JEQ, value, left, 0);
      --left;
    }
    ret(otherwise);
    ret(SECCOMP_RET_ALLOW);
  }

  /// Allows `number` when both arguments, of which the kernel takes 32 bits, have their values,
  /// else `otherwise`.
  struct ArgumentValue {
    unsigned index;
    std::uint32_t value;
  };
  void both_equal(int number, ArgumentValue first, ArgumentValue second, std::uint32_t otherwise) {
    jump(BPF_JEQ, static_cast<std::uint32_t>(number), 0, 6);
    load(low_half(first.index));
    jump(BPF_JEQ, first.value, 0, 3);
    load(low_half(second.index));
    jump(BPF_JEQ, second.value, 0, 1);
    ret(SECCOMP_RET_ALLOW);
    ret(otherwise);
  }

  /// Denies `number` when argument `index`, of which the kernel takes 32 bits, has one of
  /// `forbidden` set; says nothing otherwise.
  void without_low_bits(int number, unsigned index, std::uint32_t forbidden, std::uint32_t deny) {
    jump(BPF_JEQ, static_cast<std::uint32_t>(number), 0, 4);
    load(low_half(index));
    jump(BPF_JSET, forbidden, 0, 1);
    ret(deny);
    ret(SECCOMP_RET_ALLOW);
  }
  /// Allows `number` unless argument `index`, of which the kernel takes 32 bits, is one of
  /// `values`.
  void none_of(int number,
               unsigned index,
               std::initializer_list<std::uint32_t> values,
               std::uint32_t deny) {
    const auto count = static_cast<std::uint8_t>(values.size());
    jump(BPF_JEQ, static_cast<std::uint32_t>(number), 0, static_cast<std::uint8_t>(count + 3));
    load(low_half(index));
    std::uint8_t left = count;
    for (const std::uint32_t value : values)
      jump(BPF_JEQ, value, left--, 0);
    ret(SECCOMP_RET_ALLOW);
    ret(deny);
  }
  /// clone(2): `deny` with one of `forbidden`, allowed with `thread`, else `ask`.
  void clone_rule(int number,
                  std::uint32_t forbidden,
                  std::uint32_t thread,
                  std::uint32_t ask,
                  std::uint32_t deny) {
    jump(BPF_JEQ, static_cast<std::uint32_t>(number), 0, 6);
    load(low_half(0));
    jump(BPF_JSET, forbidden, 2, 0);
    jump(BPF_JSET, thread, 2, 0);
    ret(ask);
    ret(deny);
    ret(SECCOMP_RET_ALLOW);
  }
  /// socket(2): TCP over IPv4 or IPv6 and nothing else.
  void stream_socket_rule(int number, std::uint32_t otherwise) {
    jump(BPF_JEQ, static_cast<std::uint32_t>(number), 0, 11);
    load(low_half(0));
    jump(BPF_JEQ, AF_INET, 1, 0);
    jump(BPF_JEQ, AF_INET6, 0, 7);
    load(low_half(1));
    emit(BPF_ALU | BPF_AND | BPF_K, 0, 0, kSocketTypeMask);
    jump(BPF_JEQ, SOCK_STREAM, 0, 4);
    load(low_half(2));
    jump(BPF_JEQ, 0, 1, 0);
    jump(BPF_JEQ, IPPROTO_TCP, 0, 1);
    ret(SECCOMP_RET_ALLOW);
    ret(otherwise);
  }

  /// socketpair(2): connected pairs of AF_UNIX. A datagram pair could be connected anew, to a
  /// socket of the host that a path shows.
  void pair_rule(int number, std::uint32_t otherwise) {
    jump(BPF_JEQ, static_cast<std::uint32_t>(number), 0, 8);
    load(low_half(0));
    jump(BPF_JEQ, AF_UNIX, 0, 5);
    load(low_half(1));
    emit(BPF_ALU | BPF_AND | BPF_K, 0, 0, kSocketTypeMask);
    jump(BPF_JEQ, SOCK_STREAM, 1, 0);
    jump(BPF_JEQ, SOCK_SEQPACKET, 0, 1);
    ret(SECCOMP_RET_ALLOW);
    ret(otherwise);
  }

  Filter take() { return std::move(code_); }

 private:
  static std::size_t low_half(unsigned index) {
    return offsetof(seccomp_data, args) +
           index * sizeof(std::uint64_t);  // little-endian hosts only
  }
  static std::size_t high_half(unsigned index) { return low_half(index) + sizeof(std::uint32_t); }
  void emit(std::uint16_t code, std::uint8_t yes, std::uint8_t no, std::uint32_t value) {
    code_.push_back(sock_filter{code, yes, no, value});
  }

  Filter code_;
};

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_FILTER_ASSEMBLER_H_
