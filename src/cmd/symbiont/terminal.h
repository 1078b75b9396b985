#ifndef SYMBIONT_CMD_SYMBIONT_TERMINAL_H_
#define SYMBIONT_CMD_SYMBIONT_TERMINAL_H_

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"

namespace symbiont::cli {

/// Whether `fd` is a terminal.
[[nodiscard]] bool is_terminal(int fd);

/// Whether colour is wanted on `fd`: a terminal, NO_COLOR unset or empty, TERM not "dumb".
[[nodiscard]] bool wants_colour(int fd);

/// Text with everything that could steer a terminal replaced by U+FFFD: control characters except
/// newline and tab, C1 controls, bidirectional overrides, and bytes that are not UTF-8.
[[nodiscard]] std::string printable(std::string_view text);

enum class Paint : unsigned char { None, Bold, Dim, Red, Green, Yellow, Cyan };

/// `text` in the colour when `enabled`; else unchanged.
[[nodiscard]] std::string painted(Paint paint, std::string_view text, bool enabled);

/// How many columns `text` takes: code points, not bytes.
[[nodiscard]] std::size_t display_width(std::string_view text);

/// Writes all of it to descriptor 1. The error's errno is EPIPE when the reader is gone.
[[nodiscard]] Status write_stdout(std::string_view text);
/// Writes to descriptor 2; what cannot be written is lost.
void write_stderr(std::string_view text);

/// "error: TEXT" and, when there is one, "hint: HINT" on standard error.
void print_error(std::string_view text, std::string_view hint = {});
/// "warning: TEXT" on standard error.
void print_warning(std::string_view text);

/// A line on standard error while a model loads, shown only on a terminal and only once the load
/// takes longer than 300 ms. update() and finish() may be called from any thread.
class LoadProgress {
 public:
  LoadProgress(std::string what, bool enabled);
  LoadProgress(const LoadProgress&) = delete;
  LoadProgress& operator=(const LoadProgress&) = delete;
  ~LoadProgress();

  /// 0 .. 1
  void update(float fraction);
  /// Removes the line for good. Cheap after the first call.
  void finish();

 private:
  void loop();
  [[nodiscard]] std::string line() const;

  std::string what_;
  std::chrono::steady_clock::time_point started_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  float fraction_ = 0;
  bool done_ = false;
  std::thread thread_;
};

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_TERMINAL_H_
