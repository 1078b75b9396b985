#ifndef SYMBIONT_CMD_SYMBIONT_LINE_EDITOR_H_
#define SYMBIONT_CMD_SYMBIONT_LINE_EDITOR_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace symbiont::cli {

enum class LineEnd : std::uint8_t {
  Line,         ///< a line was read
  EndOfInput,   ///< Ctrl-D, or the end of piped input
  Interrupted,  ///< Ctrl-C, or a signal through wake_fd: what was typed is dropped
};

/// Reads lines: with editing and history on a terminal, plainly elsewhere. The terminal has its
/// usual mode whenever read() is not under way; read() takes Ctrl-C, Ctrl-Z and Ctrl-\ as keys.
class LineEditor {
 public:
  /// `wake_fd` becomes readable with a signal. `history_file` is read now, empty: no history.
  LineEditor(int wake_fd, std::filesystem::path history_file);
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;
  ~LineEditor();

  [[nodiscard]] LineEnd read(const std::string& prompt, std::string& line);
  /// Keeps a line for this session and the next ones; the file holds the newest 1000, for its owner
  /// alone.
  void remember(const std::string& line);

  struct Impl;  ///< for the callbacks of the editing library

 private:
  std::unique_ptr<Impl> impl_;
};

/// ${XDG_STATE_HOME:-~/.local/state}/symbiont/chat_history, its folder made; empty when there is no
/// home.
[[nodiscard]] std::filesystem::path chat_history_file();

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_LINE_EDITOR_H_
