#ifndef SYMBIONT_CMD_SYMBIONT_ANSWER_H_
#define SYMBIONT_CMD_SYMBIONT_ANSWER_H_

#include <string>
#include <string_view>

#include "symbiont/engine.h"

#include "base/result.h"
#include "cmd/symbiont/terminal.h"

namespace symbiont::cli {

/// Writes an answer to standard output as it comes: made printable() on a terminal, byte for byte
/// elsewhere.
class AnswerWriter {
 public:
  explicit AnswerWriter(LoadProgress& progress)
      : progress_(progress), on_terminal_(is_terminal(1)) {}

  /// The sink of an execution: false once standard output cannot be written.
  [[nodiscard]] bool write(std::string_view text);
  /// Ends the last line, if there is an open one.
  void end_line();
  /// errno of the write that failed; 0 when none did.
  [[nodiscard]] int failed_errno() const { return failed_errno_; }

 private:
  LoadProgress& progress_;
  bool on_terminal_;
  bool line_open_ = false;
  int failed_errno_ = 0;
};

/// Notes for people after an answer: what was cut, what was not enforced. For standard error.
void print_notes(const ExecutionMetadata& metadata, const ExecutionOptions& options);

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_ANSWER_H_
