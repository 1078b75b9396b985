#include "cmd/symbiont/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include <fmt/format.h>

#include "base/file.h"

namespace symbiont::cli {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr auto kQuietPeriod = std::chrono::milliseconds(300);
constexpr auto kRedraw = std::chrono::milliseconds(100);

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here sets it
  return value == nullptr ? std::string_view() : std::string_view(value);
}

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t length = 0;  ///< 0: not UTF-8
};

/// Smallest value that needs `length` bytes: anything below is an overlong spelling.
constexpr std::uint32_t smallest(std::size_t length) {
  return length == 2 ? 0x80U : length == 3 ? 0x800U : 0x10000U;
}

CodePoint decode(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) return {.value = lead, .length = 1};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {};
  std::uint32_t value = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xC0U) != 0x80U) return {};
    value = (value << 6U) | (byte & 0x3FU);
  }
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < smallest(length) || value > 0x10FFFF || surrogate) return {};
  return {.value = value, .length = length};
}

bool steers_terminal(std::uint32_t value) {
  if (value == '\n' || value == '\t') return false;
  const bool control = value < 0x20 || (value >= 0x7F && value <= 0x9F);
  const bool bidi = (value >= 0x202A && value <= 0x202E) || (value >= 0x2066 && value <= 0x2069);
  return control || bidi;
}

}  // namespace

bool is_terminal(int fd) {
  return ::isatty(fd) == 1;
}

bool wants_colour(int fd) {
  return variable("NO_COLOR").empty() && variable("TERM") != "dumb" && is_terminal(fd);
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = decode(text);
    if (point.length == 0 || steers_terminal(point.value)) {
      out += kReplacement;
    } else {
      out += text.substr(0, point.length);
    }
    text.remove_prefix(std::max<std::size_t>(point.length, 1));
  }
  return out;
}

std::string painted(Paint paint, std::string_view text, bool enabled) {
  static constexpr const char* kCodes[] = {"", "1", "2", "31;1", "32", "33", "36"};
  if (!enabled || paint == Paint::None) return std::string(text);
  return fmt::format("\033[{}m{}\033[0m", kCodes[static_cast<unsigned>(paint)], text);
}

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

Status write_stdout(std::string_view text) {
  return write_all(STDOUT_FILENO, text, "standard output");
}

void write_stderr(std::string_view text) {
  (void)write_all(STDERR_FILENO, text, "standard error").has_value();
}

void print_error(std::string_view text, std::string_view hint) {
  const bool colour = wants_colour(STDERR_FILENO);
  std::string out = painted(Paint::Red, "error:", colour) + " " + printable(text) + "\n";
  if (!hint.empty()) out += painted(Paint::Cyan, "hint:", colour) + " " + printable(hint) + "\n";
  write_stderr(out);
}

void print_warning(std::string_view text) {
  const bool colour = wants_colour(STDERR_FILENO);
  write_stderr(painted(Paint::Yellow, "warning:", colour) + " " + printable(text) + "\n");
}

LoadProgress::LoadProgress(std::string what, bool enabled)
    : what_(std::move(what)), started_(std::chrono::steady_clock::now()), done_(!enabled) {
  if (enabled) thread_ = std::thread([this] { loop(); });
}

LoadProgress::~LoadProgress() {
  finish();
}

void LoadProgress::update(float fraction) {
  const std::lock_guard lock(mutex_);
  fraction_ = std::clamp(fraction, 0.0F, 1.0F);
}

void LoadProgress::finish() {
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::string LoadProgress::line() const {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started_;
  const auto filled = static_cast<std::size_t>(std::lround(fraction_ * 20.0F));
  return fmt::format("{}  [{}{}] {:3.0f}%  {:.1f} s", what_, std::string(filled, '#'),
                     std::string(20 - filled, '.'), fraction_ * 100.0F, elapsed.count());
}

// Plain carriage returns and blanks: the same bytes work with NO_COLOR and on a dumb terminal.
void LoadProgress::loop() {
  std::unique_lock lock(mutex_);
  if (changed_.wait_for(lock, kQuietPeriod, [this] { return done_; })) return;
  std::size_t width = 0;
  while (!done_) {
    const std::string text = line();
    const std::size_t columns = display_width(text);
    write_stderr("\r" + text + std::string(width > columns ? width - columns : 0, ' '));
    width = std::max(width, columns);
    changed_.wait_for(lock, kRedraw, [this] { return done_; });
  }
  write_stderr("\r" + std::string(width, ' ') + "\r");
}

}  // namespace symbiont::cli
