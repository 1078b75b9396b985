#include "worker/llama_errors.h"

#include <ggml.h>
#include <llama.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <mutex>

#include <fmt/format.h>

namespace symbiont::worker {
namespace {

using ipc::fb::FailureKind;

constexpr std::size_t kMaxLogBytes = 512;

/// The first error lines since clear(), bounded: later ones say only that something failed.
class ErrorLog {
 public:
  void clear() {
    const std::lock_guard lock(mutex_);
    size_ = 0;
    last_was_error_ = false;
  }
  void add(ggml_log_level level, std::string_view text) {
    const std::lock_guard lock(mutex_);
    if (level != GGML_LOG_LEVEL_CONT) last_was_error_ = level == GGML_LOG_LEVEL_ERROR;
    if (!last_was_error_) return;
    const std::size_t taken = std::min(text.size(), text_.size() - size_);
    std::copy_n(text.begin(), taken, text_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += taken;
  }
  [[nodiscard]] std::string text() {
    const std::lock_guard lock(mutex_);
    std::string line;
    for (const char c : std::string_view(text_.data(), size_)) {
      if (c == '\n') {
        line += "; ";
      } else {
        line += (c >= 0x20 && c < 0x7f) ? c : '?';
      }
    }
    if (line.ends_with("; ")) line.resize(line.size() - 2);
    return line;
  }

 private:
  std::mutex mutex_;  // llama.cpp's threads log too
  std::array<char, kMaxLogBytes> text_{};
  std::size_t size_ = 0;
  bool last_was_error_ = false;
};

ErrorLog& error_log() {
  static ErrorLog log;
  return log;
}

void (*g_fatal_report)(const Failure&) = nullptr;  // NOLINT: llama.cpp's callback takes no context
bool g_blames_engine = false;                      // NOLINT: as above

bool is_about_memory(std::string_view reason) {
  constexpr std::array<std::string_view, 7> kSigns = {
      "failed to allocate", "unable to allocate",     "insufficient memory", "bad_alloc",
      "not enough memory",  "Cannot allocate memory", "mem_buffer != NULL"};
  return std::ranges::any_of(kSigns, [&](std::string_view sign) { return reason.contains(sign); });
}

/// `words`: "DIRECTORY/file.c:LINE: reason".
void report_abort(const char* words) {
  if (g_fatal_report == nullptr) return;
  std::string_view reason = words == nullptr ? "no reason given" : words;
  const std::size_t place_end = std::min(reason.find(": "), reason.size());
  const std::size_t slash = reason.substr(0, place_end).rfind('/');
  if (slash != std::string_view::npos) reason.remove_prefix(slash + 1);
  const FailureKind kind = g_blames_engine ? FailureKind::Internal : FailureKind::ModelInvalid;
  const bool memory = is_about_memory(reason) || is_about_memory(llama_errors());
  g_fatal_report({.kind = memory ? FailureKind::OutOfMemory : kind,
                  .message = fmt::format("the engine gave up: {}", reason)});
}

}  // namespace

void hear_llama_errors() {
  llama_log_set([](ggml_log_level level, const char* text, void*) { error_log().add(level, text); },
                nullptr);
}

void forget_llama_errors() {
  error_log().clear();
}

std::string llama_errors() {
  return error_log().text();
}

Failure failure_from_llama(FailureKind kind, std::string_view what) {
  const std::string reason = llama_errors();
  return {.kind = is_about_memory(reason) ? FailureKind::OutOfMemory : kind,
          .message = reason.empty() ? std::string(what) : fmt::format("{}: {}", what, reason)};
}

void on_llama_abort(void (*report)(const Failure& failure)) {
  g_fatal_report = report;
  ggml_set_abort_callback(report_abort);
}

void blame_engine_for_aborts() {
  g_blames_engine = true;
}

}  // namespace symbiont::worker
