// symbiont chat: a conversation, one answer a line.

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cmd/symbiont/answer.h"
#include "cmd/symbiont/commands.h"
#include "cmd/symbiont/interrupt.h"
#include "cmd/symbiont/line_editor.h"
#include "cmd/symbiont/session.h"

namespace symbiont::cli {
namespace {

constexpr const char* kHelp =
    "/help          this list\n"
    "/reset         forget the conversation\n"
    "/system TEXT   instructions for the model, from now on; alone: none\n"
    "/quit          leave, as Ctrl-D does\n"
    "Ctrl-C         stops an answer, or drops the line\n";

enum class Next : unsigned char { Go, Leave };

class Chat {
 public:
  Chat(Session session, Interrupt& interrupt, LoadProgress& progress, bool quiet)
      : session_(std::move(session)),
        interrupt_(interrupt),
        progress_(progress),
        interactive_(is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO)),
        quiet_(quiet),
        system_(std::exchange(session_.request.options.system_prompt, {})) {}

  [[nodiscard]] int loop();

 private:
  [[nodiscard]] Next handle(const std::string& line);
  [[nodiscard]] Next command(const std::string& line);
  [[nodiscard]] Next ask(const std::string& text);
  [[nodiscard]] Next failed(const EngineError& error);
  void say(std::string_view text) const;

  Session session_;
  Interrupt& interrupt_;
  LoadProgress& progress_;
  bool interactive_;
  bool quiet_;
  std::string system_;
  std::vector<ChatMessage> conversation_;
  int exit_code_ = 0;
};

/// Words of the program, not of the model: on standard error when the answers are piped.
void Chat::say(std::string_view text) const {
  if (quiet_) return;
  if (interactive_) {
    (void)write_stdout(text).has_value();
  } else {
    write_stderr(text);
  }
}

int Chat::loop() {
  LineEditor editor(interrupt_.wake_fd(), interactive_ ? chat_history_file() : "");
  if (interactive_) say("Ask something; /help lists commands, Ctrl-D leaves.\n");
  while (true) {
    std::string line;
    const LineEnd end = editor.read("> ", line);
    if (end == LineEnd::Interrupted) {
      const int signal = interrupt_.signal();  // none when the editor read the key
      if (signal != 0 && (signal != SIGINT || !interactive_)) return 128 + signal;
      interrupt_.rearm();
      continue;
    }
    if (end == LineEnd::EndOfInput) {
      if (interactive_) say("\n");
      return exit_code_;
    }
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    editor.remember(line);
    if (handle(line) == Next::Leave) return exit_code_;
  }
}

Next Chat::handle(const std::string& line) {
  return line.starts_with('/') ? command(line) : ask(line);
}

Next Chat::command(const std::string& line) {
  const std::size_t space = line.find(' ');
  const std::string name = line.substr(0, space);
  if (name == "/quit" || name == "/exit") return Next::Leave;
  if (name == "/help") {
    say(kHelp);
  } else if (name == "/reset") {
    conversation_.clear();
    say("(the conversation is forgotten)\n");
  } else if (name == "/system") {
    system_ = space == std::string::npos ? "" : line.substr(space + 1);
    say(system_.empty() ? "(no instructions)\n" : "(instructions set)\n");
  } else {
    print_error(fmt::format("there is no command '{}'", name), "/help lists the commands");
  }
  return Next::Go;
}

Next Chat::ask(const std::string& text) {
  conversation_.push_back({"user", text});
  EngineRequest request = session_.request;
  if (!system_.empty()) request.messages.push_back({"system", system_});
  request.messages.insert(request.messages.end(), conversation_.begin(), conversation_.end());
  AnswerWriter writer(progress_);
  const auto outcome = session_.engine.run(
      request, [&writer](std::string_view piece) { return writer.write(piece); },
      interrupt_.token());
  writer.end_line();
  if (writer.failed_errno() != 0) {
    exit_code_ = to_int(writer.failed_errno() == EPIPE ? ExitCode::ReaderGone : ExitCode::Other);
    return Next::Leave;
  }
  if (!outcome.has_value()) return failed(outcome.error());
  if (!quiet_ && conversation_.size() == 1) print_notes(outcome->metadata, request.options);
  conversation_.push_back({"assistant", outcome->response});
  return Next::Go;
}

/// Keeps the conversation such that the next question makes sense.
Next Chat::failed(const EngineError& error) {
  const auto* runner_error = std::get_if<SlmRunnerError>(&error);
  const bool partial = runner_error != nullptr && !runner_error->partial_response().empty();
  if (partial) {
    conversation_.push_back({"assistant", runner_error->partial_response()});
  } else {
    conversation_.pop_back();
  }
  const bool cancelled =
      runner_error != nullptr && runner_error->get_if<runner_error::Cancelled>() != nullptr;
  if (cancelled && interrupt_.signal() != 0) {
    if (interrupt_.signal() != SIGINT || !interactive_) {
      exit_code_ = 128 + interrupt_.signal();
      return Next::Leave;
    }
    interrupt_.rearm();
    say("(stopped)\n");
    return Next::Go;
  }
  Failure failure = to_failure(error);
  if (failure.exit == ExitCode::Usage && conversation_.size() > 1)
    failure.hint = "/reset forgets the conversation, which may have grown too long";
  exit_code_ = report(failure);
  // A person can do something about it; a script would go on asking in vain.
  return interactive_ ? Next::Go : Next::Leave;
}

int chat(const RunOptions& options) {
  auto interrupt = Interrupt::install();
  if (!interrupt.has_value()) return report(to_failure(interrupt.error()));
  LoadProgress progress("loading model", false);
  auto session = open_session(options, nullptr);
  if (!session.has_value()) return report(session.error());
  return Chat(*std::move(session), **interrupt, progress, options.quiet).loop();
}

}  // namespace

void add_chat(CLI::App& app, Action& action) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* sub = app.add_subcommand("chat", "Talk to a model");
  add_run_options(*sub, *options);
  sub->footer(
      R"(Ctrl-C stops an answer, Ctrl-D ends. /help lists the commands. On a terminal, lines are kept in
${XDG_STATE_HOME:-~/.local/state}/symbiont/chat_history, readable by you alone.

Examples:
  symbiont chat --model model.gguf
  symbiont chat -m llama2-7b --agent reviewer --system "Answer in one sentence."
  printf 'Name a river.\nAnd its country?\n' | symbiont chat -m model.gguf)");
  sub->callback([options, &action] { action = [options] { return chat(*options); }; });
}

}  // namespace symbiont::cli
