#include "cmd/symbiont/answer.h"

#include <unistd.h>

#include <fmt/format.h>

namespace symbiont::cli {

bool AnswerWriter::write(std::string_view text) {
  if (text.empty()) return true;
  progress_.finish();
  const Status written = write_stdout(on_terminal_ ? printable(text) : std::string(text));
  if (!written.has_value()) {
    failed_errno_ = written.error().sys_errno();
    return false;
  }
  line_open_ = !text.ends_with('\n');
  return true;
}

void AnswerWriter::end_line() {
  progress_.finish();
  if (line_open_ && failed_errno_ == 0) (void)write_stdout("\n").has_value();
  line_open_ = false;
}

void print_notes(const ExecutionMetadata& metadata, const ExecutionOptions& options) {
  for (const auto& [name, control] : metadata.controls) {
    if (control.state == ControlState::Enforced) continue;
    print_warning(fmt::format(
        "{} is {}: {}", name,
        control.state == ControlState::Degraded ? "enforced in part only" : "not enforced",
        control.detail));
  }
  if (metadata.finish_reason == "length" && is_terminal(STDERR_FILENO)) {
    const std::string note = fmt::format("(cut after {} tokens; --max-tokens {} allows more)\n",
                                         metadata.usage.completion_tokens, options.max_tokens * 4);
    write_stderr(painted(Paint::Dim, note, wants_colour(STDERR_FILENO)));
  }
}

}  // namespace symbiont::cli
