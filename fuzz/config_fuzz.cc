// A configuration file: any text is a value that the catalogue takes, or problems with a place in
// the text.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "symbiont/catalog.h"
#include "symbiont/slm.h"

#include "base/strings.h"

namespace {

constexpr std::string_view kFileName = "fuzz.toml";

void require(bool truth) {
  if (!truth) std::abort();
}

/// May be printed on a terminal.
void require_printable(const std::string& text) {
  require(symbiont::quoted(text, text.size()) == "'" + text + "'");
}

/// Lines without their ends; the text's end is one as well.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

void check_problems(std::span<const symbiont::ConfigProblem> problems, std::string_view text) {
  const auto lines = lines_of(text);
  for (const auto& problem : problems) {
    require(problem.file == kFileName);
    require(problem.line >= 1 && problem.line <= lines.size());
    // Columns count characters. What is missing at the end of the text is missing behind its last
    // one, which may be a line's end.
    require(problem.column >= 1 && problem.column <= lines[problem.line - 1].size() + 2);
    require(!problem.message.empty());
    require_printable(problem.to_string());
  }
}

void check_catalog(const symbiont::Slm& slm) {
  const auto catalog = symbiont::ModelCatalog::create(slm);
  if (!catalog.has_value()) {
    require(!slm.enabled);  // all else that it could say the text has been checked for
    require(!catalog.error().message().empty());
    require_printable(catalog.error().message());
    return;
  }
  require(catalog->get_default_sandbox_profile() != nullptr);
  const auto models = catalog->list_models();
  require(models.size() == slm.model_allow_lists.global_models.size());
  for (const symbiont::Model* model : models) {
    require(catalog->get_model(model->id) == model);
    require(catalog->get_sandbox_profile(model->id) != nullptr);
    const auto access = catalog->validate_model_access(model->id, "agent");
    require(access.has_value() || !access.error().message().empty());
  }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer looks for
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  const auto slm = symbiont::Slm::from_toml(text, kFileName, "/etc/symbiont");
  if (!slm.has_value()) {
    require(!slm.error().errors.empty());
    check_problems(slm.error().errors, text);
    check_problems(slm.error().warnings, text);
    return 0;
  }
  check_problems(slm->warnings, text);
  check_catalog(*slm);
  return 0;
}
