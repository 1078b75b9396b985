// symbiont completions bash|zsh|fish: scripts made from the commands themselves, so that they
// cannot fall behind.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cmd/symbiont/commands.h"
#include "cmd/symbiont/terminal.h"

namespace symbiont::cli {
namespace {

struct Entry {
  std::string name;
  std::string text;
};

struct Node {
  std::string path;  ///< "models list"; empty: the program
  std::vector<Entry> commands;
  std::vector<Entry> options;  ///< with their dashes
};

/// Quotes for a shell's single quotes.
std::string single(std::string_view text) {
  std::string out = "'";
  for (const char c : text)
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

void collect(const CLI::App& app, const std::string& path, std::vector<Node>& into) {
  Node node;
  node.path = path;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames())
      node.options.push_back({"--" + name, option->get_description()});
  }
  const auto children = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* child : children)
    node.commands.push_back({child->get_name(), child->get_description()});
  into.push_back(std::move(node));
  for (const CLI::App* child : children)
    collect(*child, path.empty() ? child->get_name() : path + " " + child->get_name(), into);
}

std::string words_of(const Node& node) {
  std::string out;
  for (const auto* entries : {&node.commands, &node.options}) {
    for (const Entry& entry : *entries)
      out += (out.empty() ? "" : " ") + entry.name;
  }
  return out;
}

constexpr std::string_view kFindPath = R"(  local path="" word
  for word in "${words[@]:1:$((current - 1))}"; do
    case "$path $word" in
)";

/// The cases that follow the words typed so far to the command they name.
std::string path_cases(const std::vector<Node>& nodes) {
  std::string out;
  for (const Node& node : nodes) {
    if (!node.path.empty()) out += fmt::format("      \" {0}\") path=\" {0}\" ;;\n", node.path);
  }
  // Below the first level `path` starts with a blank already.
  return out + "    esac\n  done\n";
}

std::string word_cases(const std::vector<Node>& nodes) {
  std::string out = "  local choices=\"\"\n  case \"$path\" in\n";
  for (const Node& node : nodes) {
    out += fmt::format("    {}) choices={} ;;\n",
                       node.path.empty() ? "\"\"" : fmt::format("\" {}\"", node.path),
                       single(words_of(node)));
  }
  return out + "  esac\n";
}

std::string bash_script(const std::vector<Node>& nodes) {
  std::string out =
      "# bash completion of symbiont: source <(symbiont completions bash)\n_symbiont() {\n";
  out += "  local -a words=(\"${COMP_WORDS[@]}\")\n  local current=$COMP_CWORD\n";
  out += kFindPath;
  out += path_cases(nodes) + word_cases(nodes);
  return out + R"(  local typed="${COMP_WORDS[COMP_CWORD]}"
  case "${COMP_WORDS[COMP_CWORD - 1]}" in
    --model | -m | --config | --report | --read | --write | --deny | --chdir) choices="" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$typed")
  if [[ ${#COMPREPLY[@]} -eq 0 ]]; then mapfile -t COMPREPLY < <(compgen -f -- "$typed"); fi
}
complete -o filenames -F _symbiont symbiont
)";
}

std::string zsh_script(const std::vector<Node>& nodes) {
  std::string out =
      "#compdef symbiont\n# zsh completion of symbiont: source <(symbiont completions zsh)\n";
  out += "_symbiont() {\n  local curcontext=$curcontext path_typed=\"\" word\n";
  out += "  for word in \"${(@)words[2,CURRENT-1]}\"; do\n    case \"$path_typed $word\" in\n";
  for (const Node& node : nodes) {
    if (!node.path.empty())
      out += fmt::format("      \" {0}\") path_typed=\" {0}\" ;;\n", node.path);
  }
  out += "    esac\n  done\n  local -a choices\n  case \"$path_typed\" in\n";
  for (const Node& node : nodes) {
    out += fmt::format("    {}) choices=(", node.path.empty() ? "\"\"" : "\" " + node.path + "\"");
    for (const auto* entries : {&node.commands, &node.options}) {
      for (const Entry& entry : *entries)
        out += fmt::format("\n      {}", single(entry.name + ":" + entry.text));
    }
    out += ") ;;\n";
  }
  return out + R"(  esac
  case "${words[CURRENT-1]}" in
    --model|-m|--config|--report|--read|--write|--deny|--chdir) _files; return ;;
  esac
  _describe -o symbiont choices || _files
}
if [[ $funcstack[1] == _symbiont ]]; then _symbiont "$@"; else compdef _symbiont symbiont; fi
)";
}

std::string fish_script(const std::vector<Node>& nodes) {
  std::string out = "# fish completion of symbiont: symbiont completions fish | source\n";
  for (const Node& node : nodes) {
    std::string condition;
    for (std::size_t at = 0; at < node.path.size();) {
      const std::size_t end = std::min(node.path.find(' ', at), node.path.size());
      condition += (at == 0 ? "" : "; and ") +
                   fmt::format("__fish_seen_subcommand_from {}", node.path.substr(at, end - at));
      at = end + 1;
    }
    std::string children;
    for (const Entry& entry : node.commands)
      children += " " + entry.name;
    if (!children.empty())
      condition += (condition.empty() ? "" : "; and ") +
                   fmt::format("not __fish_seen_subcommand_from{}", children);
    const std::string when = condition.empty() ? "" : " -n " + single(condition);
    for (const Entry& entry : node.commands)
      out += fmt::format("complete -c symbiont -f{} -a {} -d {}\n", when, entry.name,
                         single(entry.text));
    for (const Entry& entry : node.options)
      out += fmt::format("complete -c symbiont{} -l {} -d {}\n", when, entry.name.substr(2),
                         single(entry.text));
  }
  return out;
}

int print_script(const CLI::App& app, const std::string& shell) {
  std::vector<Node> nodes;
  collect(app, "", nodes);
  std::string script;
  if (shell == "bash") script = bash_script(nodes);
  if (shell == "zsh") script = zsh_script(nodes);
  if (shell == "fish") script = fish_script(nodes);
  return to_int(write_stdout(script).has_value() ? ExitCode::Ok : ExitCode::ReaderGone);
}

}  // namespace

void add_completions(CLI::App& app, Action& action) {
  auto shell = std::make_shared<std::string>();
  CLI::App* sub = app.add_subcommand("completions", "Print a completion script for a shell");
  sub->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  sub->footer(
      "Examples:\n  source <(symbiont completions bash)\n"
      "  symbiont completions zsh > ~/.zfunc/_symbiont\n"
      "  symbiont completions fish > ~/.config/fish/completions/symbiont.fish");
  sub->callback(
      [shell, &app, &action] { action = [shell, &app] { return print_script(app, *shell); }; });
}

}  // namespace symbiont::cli
