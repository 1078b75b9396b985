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
#include <map>
#include <span>
#include <vector>

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

/// Collects rules, each of which decides about one system call, and finds the rule of a call by
/// halves: the kernel tries every number when it takes a filter, so that a long way to each shows
/// in the time of a start. The first rule for a number counts.
class FilterAssembler {
 public:
  void on_call(int number, std::uint32_t action) {
    rule_of(number);
    ret(action);
  }
  /// Allows `number` when argument `index` has high half 0 and none of `forbidden` set, else
  /// `otherwise`.
  void without_bits(int number, unsigned index, std::uint32_t forbidden, std::uint32_t otherwise) {
    rule_of(number);
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
    rule_of(number);
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
    rule_of(number);
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
    rule_of(number);
    load(low_half(first.index));
    jump(BPF_JEQ, first.value, 0, 3);
    load(low_half(second.index));
    jump(BPF_JEQ, second.value, 0, 1);
    ret(SECCOMP_RET_ALLOW);
    ret(otherwise);
  }

  /// Allows `number` unless argument `index`, of which the kernel takes 32 bits, has one of
  /// `forbidden` set.
  void without_low_bits(int number, unsigned index, std::uint32_t forbidden, std::uint32_t deny) {
    rule_of(number);
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
    rule_of(number);
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
    rule_of(number);
    load(low_half(0));
    jump(BPF_JSET, forbidden, 2, 0);
    jump(BPF_JSET, thread, 2, 0);
    ret(ask);
    ret(deny);
    ret(SECCOMP_RET_ALLOW);
  }
  /// socket(2): TCP over IPv4 or IPv6 and nothing else.
  void stream_socket_rule(int number, std::uint32_t otherwise) {
    rule_of(number);
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
    rule_of(number);
    load(low_half(0));
    jump(BPF_JEQ, AF_UNIX, 0, 5);
    load(low_half(1));
    emit(BPF_ALU | BPF_AND | BPF_K, 0, 0, kSocketTypeMask);
    jump(BPF_JEQ, SOCK_STREAM, 1, 0);
    jump(BPF_JEQ, SOCK_SEQPACKET, 0, 1);
    ret(SECCOMP_RET_ALLOW);
    ret(otherwise);
  }

  /// All rules; kills foreign architectures and the x32 ABI, and answers `otherwise` to the rest.
  Filter take(std::uint32_t otherwise) {
    Filter code;
    current_ = &code;
    load(offsetof(seccomp_data, arch));
    jump(BPF_JEQ, kAuditArch, 1, 0);
    ret(SECCOMP_RET_KILL_PROCESS);
    load(offsetof(seccomp_data, nr));
    jump(BPF_JGE, kX32Bit, 0, 1);
    ret(SECCOMP_RET_KILL_PROCESS);
    const Filter rest = {sock_filter{BPF_RET | BPF_K, 0, 0, otherwise}};
    std::vector<Range> ranges = {{0, &rest}};
    std::uint32_t next = 0;
    for (const auto& [number, rule] : rules_) {
      if (number > next) add_range(ranges, next, rest);
      add_range(ranges, number, rule);
      next = number + 1;
    }
    add_range(ranges, next, rest);
    append_search(code, ranges);
    return code;
  }

 private:
  /// The numbers from `first` to the next range's that one rule decides about.
  struct Range {
    std::uint32_t first;
    const Filter* rule;
  };
  static bool same(const Filter& one, const Filter& other) {
    return one.size() == 1 && other.size() == 1 && one.front().k == other.front().k;
  }
  static void add_range(std::vector<Range>& ranges, std::uint32_t first, const Filter& rule) {
    if (ranges.back().first == first) ranges.pop_back();
    if (ranges.empty() || !same(*ranges.back().rule, rule)) ranges.push_back({first, &rule});
  }
  // NOLINTNEXTLINE(misc-no-recursion): as deep as the logarithm of the system calls there are
  static void append_search(Filter& code, std::span<const Range> ranges) {
    if (ranges.size() == 1) {
      code.insert(code.end(), ranges.front().rule->begin(), ranges.front().rule->end());
      return;
    }
    const std::size_t half = ranges.size() / 2;
    Filter below;
    append_search(below, ranges.first(half));
    const auto length = static_cast<std::uint32_t>(below.size());
    // A conditional jump spans 255 instructions, a plain one any number.
    constexpr std::uint16_t kReaches = BPF_JMP | BPF_JGE | BPF_K;
    const std::uint32_t first = ranges[half].first;
    if (length <= UINT8_MAX) {
      code.push_back({kReaches, static_cast<std::uint8_t>(length), 0, first});
    } else {
      code.push_back({kReaches, 0, 1, first});
      code.push_back({BPF_JMP | BPF_JA, 0, 0, length});
    }
    code.insert(code.end(), below.begin(), below.end());
    append_search(code, ranges.subspan(half));
  }

  void rule_of(int number) {
    ignored_.clear();
    current_ = &ignored_;
    if (number < 0) return;  // not of this architecture
    const auto [at, added] = rules_.try_emplace(static_cast<std::uint32_t>(number));
    if (added) current_ = &at->second;
  }
  void load(std::size_t offset) {
    emit(BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<std::uint32_t>(offset));
  }
  void ret(std::uint32_t action) { emit(BPF_RET | BPF_K, 0, 0, action); }
  void jump(std::uint16_t test, std::uint32_t value, std::uint8_t yes, std::uint8_t no) {
    emit(static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), yes, no, value);
  }
  static std::size_t low_half(unsigned index) {
    return offsetof(seccomp_data, args) +
           index * sizeof(std::uint64_t);  // little-endian hosts only
  }
  static std::size_t high_half(unsigned index) { return low_half(index) + sizeof(std::uint32_t); }
  void emit(std::uint16_t code, std::uint8_t yes, std::uint8_t no, std::uint32_t value) {
    current_->push_back(sock_filter{code, yes, no, value});
  }

  std::map<std::uint32_t, Filter> rules_;
  Filter ignored_;  // where a second rule for a number goes
  Filter* current_ = &ignored_;
};

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_FILTER_ASSEMBLER_H_
