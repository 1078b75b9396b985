#include "worker/text_stream.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace symbiont::worker {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Sequence {
  std::size_t length = 0;    // as the first byte announces; 0: no first byte
  std::uint8_t low = 0x80;   // bounds of the second byte: they exclude overlong forms, surrogates
  std::uint8_t high = 0xBF;  // and what lies above U+10FFFF
};

Sequence announced(std::uint8_t first) {
  if (first < 0x80) return {.length = 1};
  if (first < 0xC2 || first > 0xF4) return {};
  if (first < 0xE0) return {.length = 2};
  if (first == 0xE0) return {.length = 3, .low = 0xA0};
  if (first == 0xED) return {.length = 3, .high = 0x9F};
  if (first < 0xF0) return {.length = 3};
  if (first == 0xF0) return {.length = 4, .low = 0x90};
  if (first == 0xF4) return {.length = 4, .high = 0x8F};
  return {.length = 4};
}

/// How many bytes at the front of `bytes` belong to one sequence, as far as they are valid.
std::size_t valid_part(std::string_view bytes, Sequence sequence) {
  std::size_t part = 1;
  while (part < sequence.length && part < bytes.size()) {
    const auto byte = static_cast<std::uint8_t>(bytes[part]);
    const std::uint8_t low = part == 1 ? sequence.low : std::uint8_t{0x80};
    const std::uint8_t high = part == 1 ? sequence.high : std::uint8_t{0xBF};
    if (byte < low || byte > high) break;
    ++part;
  }
  return part;
}

}  // namespace

void TextStream::sanitize(bool at_end) {
  std::string_view rest = raw_;
  while (!rest.empty()) {
    const Sequence sequence = announced(static_cast<std::uint8_t>(rest.front()));
    const std::size_t part = valid_part(rest, sequence);
    if (part == sequence.length) {
      text_ += rest.substr(0, part);
    } else if (sequence.length != 0 && part == rest.size() && !at_end) {
      break;  // unfinished: the next token may complete it
    } else {
      text_ += kReplacement;
    }
    rest.remove_prefix(part);
  }
  raw_.erase(0, raw_.size() - rest.size());
}

std::string TextStream::take_shown(bool at_end) {
  std::size_t cut = std::string::npos;
  for (std::size_t i = 0; i < stops_.size(); ++i) {
    const std::size_t at = text_.find(stops_[i]);
    if (at >= cut) continue;
    cut = at;
    stopped_by_ = i;
  }
  if (stopped_by_) {
    text_.resize(cut);
    raw_.clear();
    return std::exchange(text_, {});
  }
  std::size_t held = 0;
  for (const std::string& stop : stops_) {
    if (at_end) break;
    for (std::size_t n = std::min(stop.size() - 1, text_.size()); n > held; --n) {
      if (text_.ends_with(std::string_view(stop).substr(0, n))) held = n;
    }
  }
  std::string shown = text_.substr(0, text_.size() - held);
  text_.erase(0, shown.size());
  return shown;
}

std::string TextStream::push(std::string_view bytes) {
  if (stopped()) return {};
  raw_ += bytes;
  sanitize(false);
  return take_shown(false);
}

std::string TextStream::finish() {
  if (stopped()) return {};
  sanitize(true);
  return take_shown(true);
}

}  // namespace symbiont::worker
