#include "sandbox/plain_cbor.h"

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

namespace symbiont::sandbox {
namespace {

/// The first byte of a CBOR item, and the number that belongs to it.
struct CborHead {
  unsigned kind = 0;
  std::uint64_t number = 0;
};

std::optional<CborHead> take_head(std::string_view& packet) {
  if (packet.empty()) return std::nullopt;
  const unsigned first = static_cast<std::uint8_t>(packet.front());
  packet.remove_prefix(1);
  const unsigned low = first & 0x1FU;
  if (low < 24) return CborHead{first >> 5U, low};
  if (low > 27) return std::nullopt;  // a length that is not said, or nothing
  const std::size_t bytes = std::size_t{1} << (low - 24);
  if (packet.size() < bytes) return std::nullopt;
  CborHead head{first >> 5U, 0};
  for (const char byte : packet.substr(0, bytes))
    head.number = head.number << 8U | static_cast<std::uint8_t>(byte);
  packet.remove_prefix(bytes);
  return head;
}

}  // namespace

bool is_plain_cbor(std::string_view packet) {
  enum Kind : std::uint8_t { Unsigned, Negative, Bytes, Text, Array, Map, Tag };
  std::array<std::uint64_t, kMaxCborDepth + 1> left{1};  // items to come on each level
  std::size_t level = 0;
  while (true) {
    for (; left.at(level) == 0; --level)
      if (level == 0) return packet.empty();
    --left.at(level);
    const auto head = take_head(packet);
    if (!head || head->kind == Tag) return false;
    if (head->kind == Negative && !std::in_range<std::int64_t>(head->number)) return false;
    if (head->kind < Bytes || head->kind > Tag) continue;
    if (head->number > packet.size()) return false;
    if (head->kind < Array) {
      packet.remove_prefix(head->number);
    } else if (++level < left.size()) {
      left.at(level) = head->kind == Map ? head->number * 2 : head->number;
    } else {
      return false;
    }
  }
}

}  // namespace symbiont::sandbox
