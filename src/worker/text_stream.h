#ifndef SYMBIONT_WORKER_TEXT_STREAM_H_
#define SYMBIONT_WORKER_TEXT_STREAM_H_

// From the bytes of single tokens to text that may be shown: whole UTF-8 sequences, nothing of a
// stop string. Pure.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace symbiont::worker {

class TextStream {
 public:
  /// Stop strings must not be empty.
  explicit TextStream(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  /// Adds bytes and returns what can be shown now. Bytes that are not UTF-8 become U+FFFD; an
  /// unfinished sequence and the beginning of a stop string are held back. Empty once stopped().
  [[nodiscard]] std::string push(std::string_view bytes);
  /// No more bytes come: returns what was held back.
  [[nodiscard]] std::string finish();
  /// A stop string was found; it and what follows are not shown.
  [[nodiscard]] bool stopped() const { return stopped_by_.has_value(); }
  /// Which stop string it was: the one that begins first, of several the first one named.
  [[nodiscard]] std::optional<std::size_t> stopped_by() const { return stopped_by_; }

 private:
  void sanitize(bool at_end);
  [[nodiscard]] std::string take_shown(bool at_end);

  std::vector<std::string> stops_;
  std::string raw_;   // bytes not yet looked at: at most one unfinished sequence between calls
  std::string text_;  // valid UTF-8, not yet shown
  std::optional<std::size_t> stopped_by_;
};

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_TEXT_STREAM_H_
