// The engine protocol: a hostile engine's lines, and requests made of a hostile client's words.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runners/process_runner_protocol.h"
#include "runners/utf8.h"

namespace {

using namespace symbiont::engine_protocol;  // NOLINT(google-build-using-namespace): one subject

constexpr std::size_t kMaxWords = 512;  // bytes; a request repeats them, which takes its time

void require(bool truth) {
  if (!truth) std::abort();
}

void require_printable(std::string_view text, std::size_t max_bytes) {
  require(text.size() <= max_bytes);
  require(std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7E; }));
}

struct Check {
  void operator()(const Ready& ready) const {
    require_printable(ready.name, kMaxNameBytes);
    require_printable(ready.version, kMaxNameBytes);
  }
  void operator()(const Token& token) const {
    require(symbiont::first_invalid_utf8(token.text) == token.text.size());
  }
  void operator()(const Done& done) const { require(done.finish <= Finish::Cancelled); }
  void operator()(const Failed& failed) const {
    require_printable(failed.message, kMaxMessageBytes);
  }
};

void check_line(std::string_view line) {
  constexpr std::size_t kLongestText = 2048;  // an error repeats a part of the line
  const auto message = parse(line);
  if (!message.has_value()) {
    require(message.error().code() == symbiont::ErrorCode::DataCorrupt);
    require(!message.error().message().empty());
    require_printable(message.error().message(), kLongestText);
    return;
  }
  std::visit(Check{}, *message);
  require_printable(describe(*message), kLongestText);
}

/// Whatever the words, they stay within one line and one JSON string.
void check_request(const std::string& words) {
  const std::vector<symbiont::ChatMessage> messages = {{words, words}, {"user", words}};
  symbiont::ExecutionOptions options;
  options.stop = {words};
  const std::string line = execute_line(1, messages, options, 2);
  require(line.find('\n') == line.size() - 1);
  const auto read = parse(std::string_view(line).substr(0, line.size() - 1));
  require(!read.has_value() && read.error().message() == "a message of the unknown type 'execute'");
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer looks for
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(data, data + size);
  for (std::size_t begin = 0; begin <= bytes.size();) {
    const std::size_t end = std::min(bytes.find('\n', begin), bytes.size());
    check_line(std::string_view(bytes).substr(begin, end - begin));
    begin = end + 1;
  }
  const std::string text = replace_invalid_utf8(bytes);
  require(symbiont::first_invalid_utf8(text) == text.size());
  check_request(bytes.substr(0, kMaxWords));
  return 0;
}
