// The part of the command line that reads configuration files.

#include <filesystem>
#include <string>
#include <utility>

#include "cmd/symbiont/exit_codes.h"
#include "cmd/symbiont/options.h"

namespace symbiont::cli {

Failure to_failure(const ConfigErrors& errors) {
  std::string text = errors.to_string();
  while (text.ends_with('\n'))
    text.pop_back();
  return {ExitCode::Configuration, "InvalidConfig", std::move(text),
          "'symbiont config check' also shows warnings"};
}

std::expected<Slm, Failure> load_config(const std::string& given) {
  const std::filesystem::path path = find_config(given);
  if (path.empty()) {
    return std::unexpected(
        Failure{ExitCode::Configuration, "InvalidConfig", "there is no configuration",
                "write ./symbiont.toml or ~/.config/symbiont/symbiont.toml, or name a file with "
                "--config; a model file needs none: --model PATH"});
  }
  auto slm = Slm::from_file(path);
  if (!slm.has_value()) return std::unexpected(to_failure(slm.error()));
  return *std::move(slm);
}

}  // namespace symbiont::cli
