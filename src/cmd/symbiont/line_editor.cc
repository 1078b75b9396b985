#include "cmd/symbiont/line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <system_error>
#include <utility>

#include "base/unique_fd.h"
#include "cmd/symbiont/terminal.h"

namespace symbiont::cli {
namespace {

constexpr int kHistoryLines = 1000;
constexpr std::size_t kMaxLineBytes = std::size_t{1} << 20U;
constexpr char kEndOfFileKey = '\x04';

enum class Ready : std::uint8_t { Input, Wake, Error };

Ready wait_for_input(int wake_fd) {
  std::array<pollfd, 2> fds{{{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                             {.fd = wake_fd, .events = POLLIN, .revents = 0}}};
  while (::poll(fds.data(), fds.size(), -1) < 0) {
    if (errno != EINTR) return Ready::Error;
  }
  return fds[1].revents != 0 ? Ready::Wake : Ready::Input;
}

/// Creates the file for its owner alone before libedit writes to it.
bool make_private(const std::filesystem::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  return fd.is_valid() && ::fchmod(fd.get(), 0600) == 0;
}

}  // namespace

// While a line is edited no key makes a signal: with ISIG the kernel empties the input queue at
// Ctrl-C, and a read() that poll() had promised a byte then waits for the next key. As bytes the
// keys keep their place among the others. Between lines the terminal has its usual mode.
struct LineEditor::Impl {
  int wake_fd = -1;
  termios usual{};  // for its keys
  std::filesystem::path history_file;
  std::string prompt;
  EditLine* editor = nullptr;  // null: standard input is no terminal
  History* history = nullptr;
  HistEvent event{};
  std::string pending;  // piped input that was read ahead
  bool interrupted = false;
  int typed_ahead = 0;  // bytes still to be read that came in the usual mode

  void take_terminal();
  [[nodiscard]] char translate_typed_ahead(char byte);
  [[nodiscard]] bool is_key(std::size_t which, char byte) const;
  void pass_on(int signal);
  [[nodiscard]] LineEnd read_plain(std::string& line);
  [[nodiscard]] LineEnd read_edited(std::string& line);
};

namespace {

LineEditor::Impl* impl_of(EditLine* editor) {
  void* data = nullptr;
  (void)el_get(editor, EL_CLIENTDATA, &data);
  return static_cast<LineEditor::Impl*>(data);
}

/// Reads one character; a signal or its key ends the line, which libedit's own reader does not do
/// reliably.
int read_character(EditLine* editor, wchar_t* into) {
  LineEditor::Impl* impl = impl_of(editor);
  std::mbstate_t state{};
  while (true) {
    const Ready ready = wait_for_input(impl->wake_fd);
    char byte = 0;
    const ssize_t count = ready == Ready::Input ? ::read(STDIN_FILENO, &byte, 1) : -1;
    if (count > 0) byte = impl->translate_typed_ahead(byte);
    impl->interrupted = ready == Ready::Wake || (count > 0 && impl->is_key(VINTR, byte));
    if (impl->interrupted) return -1;
    if (count <= 0) return static_cast<int>(count);
    if (impl->is_key(VSUSP, byte) || impl->is_key(VQUIT, byte)) {
      impl->pass_on(impl->is_key(VSUSP, byte) ? SIGTSTP : SIGQUIT);
      continue;
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): its state is ours
    const std::size_t used = std::mbrtowc(into, &byte, 1, &state);
    if (used == static_cast<std::size_t>(-2)) continue;  // inside a character
    if (used == static_cast<std::size_t>(-1)) state = {};
    if (used <= 1) return 1;
  }
}

char* prompt_of(EditLine* editor) {
  return impl_of(editor)->prompt.data();
}

}  // namespace

LineEditor::LineEditor(int wake_fd, std::filesystem::path history_file)
    : impl_(std::make_unique<Impl>()) {
  impl_->wake_fd = wake_fd;
  if (!is_terminal(STDIN_FILENO) || !is_terminal(STDOUT_FILENO)) return;
  // Characters, not bytes, whatever the locale: prompts are UTF-8.
  (void)std::setlocale(LC_CTYPE, "C.UTF-8");  // NOLINT(concurrency-mt-unsafe): before any prompt
  if (::tcgetattr(STDIN_FILENO, &impl_->usual) != 0) return;
  impl_->editor = el_init("symbiont", stdin, stdout, stderr);
  impl_->history = history_init();
  if (impl_->editor == nullptr || impl_->history == nullptr) return;
  (void)el_set(impl_->editor, EL_CLIENTDATA, impl_.get());
  (void)el_set(impl_->editor, EL_PROMPT, prompt_of);
  (void)el_set(impl_->editor, EL_EDITOR, "emacs");
  (void)el_set(impl_->editor, EL_SETTY, "-d", "-isig", nullptr);
  (void)el_set(impl_->editor, EL_GETCFN, read_character);
  (void)el_set(impl_->editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  (void)history(impl_->history, &impl_->event, H_SETSIZE, kHistoryLines);
  (void)history(impl_->history, &impl_->event, H_SETUNIQUE, 1);
  (void)el_set(impl_->editor, EL_HIST, history, impl_->history);
  if (!history_file.empty() && make_private(history_file)) {
    impl_->history_file = std::move(history_file);
    (void)history(impl_->history, &impl_->event, H_LOAD, impl_->history_file.c_str());
  }
}

LineEditor::~LineEditor() {
  if (impl_->editor != nullptr) el_end(impl_->editor);
  if (impl_->history != nullptr) history_end(impl_->history);
}

LineEnd LineEditor::read(const std::string& prompt, std::string& line) {
  impl_->prompt = prompt;
  line.clear();
  return impl_->editor != nullptr ? impl_->read_edited(line) : impl_->read_plain(line);
}

/// Before the prompt is shown: whoever answers it must not be heard in the usual mode.
void LineEditor::Impl::take_terminal() {
  (void)el_set(editor, EL_PREP_TERM, 1);
  typed_ahead = 0;
  (void)::ioctl(STDIN_FILENO, FIONREAD, &typed_ahead);  // else it stays 0
}

/// In the usual mode the kernel keeps Ctrl-D as a mark, which reads as NUL in the editor's mode. A
/// Ctrl-Space that was typed ahead reads the same; libedit has no use for it.
char LineEditor::Impl::translate_typed_ahead(char byte) {
  if (typed_ahead <= 0) return byte;
  --typed_ahead;
  return byte == '\0' ? kEndOfFileKey : byte;
}

bool LineEditor::Impl::is_key(std::size_t which, char byte) const {
  const cc_t key = usual.c_cc[which];
  return key != _POSIX_VDISABLE && key == static_cast<unsigned char>(byte);
}

/// Does what the kernel does for the key; a stop ends here once the program goes on.
void LineEditor::Impl::pass_on(int signal) {
  (void)el_set(editor, EL_PREP_TERM, 0);
  (void)::kill(0, signal);
  take_terminal();
  (void)el_set(editor, EL_REFRESH);
}

LineEnd LineEditor::Impl::read_edited(std::string& line) {
  int count = 0;
  interrupted = false;
  take_terminal();
  const char* text = el_gets(editor, &count);
  if (interrupted) {
    (void)write_stdout("\n").has_value();
    return LineEnd::Interrupted;
  }
  if (text == nullptr || count <= 0) return LineEnd::EndOfInput;
  line.assign(text, static_cast<std::size_t>(count));
  while (line.ends_with('\n') || line.ends_with('\r'))
    line.pop_back();
  return LineEnd::Line;
}

LineEnd LineEditor::Impl::read_plain(std::string& line) {
  while (true) {
    const std::size_t end = pending.find('\n');
    if (end != std::string::npos) {
      line = pending.substr(0, end);
      pending.erase(0, end + 1);
      return LineEnd::Line;
    }
    if (pending.size() > kMaxLineBytes) return LineEnd::EndOfInput;
    const Ready ready = wait_for_input(wake_fd);
    if (ready == Ready::Wake) return LineEnd::Interrupted;
    std::array<char, 4096> buffer{};
    const ssize_t count =
        ready == Ready::Input ? ::read(STDIN_FILENO, buffer.data(), buffer.size()) : -1;
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      line = std::exchange(pending, {});
      return line.empty() ? LineEnd::EndOfInput : LineEnd::Line;
    }
    pending.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

void LineEditor::remember(const std::string& line) {
  if (impl_->history == nullptr || line.empty()) return;
  (void)history(impl_->history, &impl_->event, H_ENTER, line.c_str());
  if (impl_->history_file.empty()) return;
  (void)history(impl_->history, &impl_->event, H_SAVE, impl_->history_file.c_str());
}

std::filesystem::path chat_history_file() {
  const char* state = std::getenv("XDG_STATE_HOME");  // NOLINT(concurrency-mt-unsafe)
  const char* home = std::getenv("HOME");             // NOLINT(concurrency-mt-unsafe)
  std::filesystem::path folder;
  if (state != nullptr && *state != '\0') {
    folder = state;
  } else if (home != nullptr && *home != '\0') {
    folder = std::filesystem::path(home) / ".local" / "state";
  } else {
    return {};
  }
  folder /= "symbiont";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  return error ? std::filesystem::path() : folder / "chat_history";
}

}  // namespace symbiont::cli
