#include "cmd/symbiont/sandbox.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

namespace symbiont::cli {
namespace {

const CLI::App* find_command(const CLI::App& app, const std::string& name) {
  const auto found =
      app.get_subcommands([&name](const CLI::App* command) { return command->get_name() == name; });
  return found.empty() ? nullptr : found.front();
}

/// Whether `word` is an option of `command` whose value is the next word.
bool has_value_next(const CLI::App& command, const std::string& word) {
  if (word.find('=') != std::string::npos) return false;
  const CLI::Option* option = command.get_option_no_throw(word);
  return option != nullptr && option->get_items_expected_max() > 0;
}

}  // namespace

std::vector<std::string> take_program(const CLI::App& app, std::vector<std::string>& words) {
  constexpr std::size_t kFirst = 2;  // after "sandbox exec"
  constexpr std::array<std::string_view, 2> kGroups = {"sandbox", "runner"};
  if (words.size() < kFirst || std::ranges::find(kGroups, words[0]) == kGroups.end()) return {};
  const CLI::App* group = find_command(app, words[0]);
  const CLI::App* command = group == nullptr ? nullptr : find_command(*group, words[1]);
  if (command == nullptr) {
    // A misspelt command is what is wrong, whatever stands behind it.
    if (!words[1].starts_with('-')) words.resize(kFirst);
    return {};
  }
  std::size_t at = kFirst;
  while (at < words.size() && words[at].starts_with('-') && words[at] != "--")
    at += has_value_next(*command, words[at]) ? 2U : 1U;
  if (at >= words.size()) return {};
  const auto begin = words.begin() + static_cast<std::ptrdiff_t>(at);
  std::vector<std::string> program(words[at] == "--" ? begin + 1 : begin, words.end());
  words.erase(begin, words.end());
  return program;
}

void add_sandbox(CLI::App& app, Action& action, const std::vector<std::string>& program) {
  CLI::App* sub = app.add_subcommand("sandbox", "Run any program under a sandbox profile");
  sub->require_subcommand(1);
  add_sandbox_exec(*sub, action, program);
  add_sandbox_proof(*sub, action, program);
  sub->footer(
      "Examples:\n  symbiont sandbox exec --read data -- python3 report.py data/in.csv\n"
      "  symbiont sandbox proof");
}

}  // namespace symbiont::cli
