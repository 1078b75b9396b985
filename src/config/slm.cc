// Slm::from_toml(): parse, read each part, then look up the names that parts use of each other.
#include "symbiont/slm.h"

#include <array>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/file.h"
#include "base/strings.h"
#include "config/key_depth.h"
#include "config/limits.h"
#include "config/readers.h"

namespace symbiont {
namespace {

using config::Context;
using config::Problems;
using config::Reference;
using config::References;
using config::TableReader;

void read_slm(TableReader& root, Slm& slm, References& references) {
  constexpr std::array<std::string_view, 2> kUnmapped = {"deny", "all"};
  constexpr std::array<std::string_view, 2> kEnforcement = {"strict", "degraded"};
  const toml::table* table = root.find_table("slm");
  if (table == nullptr) return;
  TableReader reader(root.context(), *table, "slm");
  reader.get("enabled", slm.enabled);
  if (reader.get("default_sandbox_profile", slm.default_sandbox_profile, config::kMaxNameBytes)) {
    references.default_profile = {slm.default_sandbox_profile, "slm.default_sandbox_profile",
                                  config::place_of(*table->get("default_sandbox_profile"))};
  }
  reader.get("allow_runtime_overrides", slm.allow_runtime_overrides);
  reader.read_enum("unmapped_agents", slm.unmapped_agents, kUnmapped);
  reader.read_enum("enforcement", slm.enforcement, kEnforcement);
  if (const toml::table* lists = reader.find_table("model_allow_lists"); lists != nullptr) {
    TableReader lists_reader(root.context(), *lists, reader.path_of("model_allow_lists"));
    config::read_models(lists_reader, slm.model_allow_lists, references);
    config::read_agent_maps(lists_reader, slm.model_allow_lists, references);
    lists_reader.finish();
  }
  config::read_profiles(reader, slm);
  reader.finish();
}

// The profile of that name, the built-in one included, or nullptr.
const SandboxProfile* find_profile(const Slm& slm, std::string_view name) {
  static const SandboxProfile kBuiltIn;
  const auto found = slm.sandbox_profiles.find(name);
  if (found != slm.sandbox_profiles.end()) return &found->second;
  return name == kBuiltIn.name ? &kBuiltIn : nullptr;
}

void report_missing_profile(const Slm& slm, const Reference& reference, Problems& problems) {
  std::vector<std::string_view> names = {"secure"};
  for (const auto& [name, profile] : slm.sandbox_profiles) {
    if (names.size() > config::kMaxSuggestionCandidates) break;
    names.emplace_back(name);
  }
  problems.error(reference.at, reference.key,
                 fmt::format("there is no sandbox profile {}", symbiont::quoted(reference.name)),
                 problems.suggest(reference.name, names));
}

void check_models(const Slm& slm, const References& references, Problems& problems) {
  for (std::size_t i = 0; i < references.models.size(); ++i) {
    const Model& model = slm.model_allow_lists.global_models[i];
    const config::ModelPlace& place = references.models[i];
    const bool own = !model.sandbox_profile.empty();
    const std::string& name = own ? model.sandbox_profile : slm.default_sandbox_profile;
    const SandboxProfile* profile = find_profile(slm, name);
    if (profile == nullptr) {  // a missing default is reported once, not for each model
      if (own) {
        report_missing_profile(slm, {name, place.key + ".sandbox_profile", place.sandbox_profile},
                               problems);
      }
      continue;
    }
    const std::uint64_t needed = model.resource_requirements.min_memory_mb;
    if (needed <= profile->resources.max_memory_mb) continue;
    problems.warning(
        place.min_memory, place.key + ".resource_requirements.min_memory_mb",
        fmt::format("model {} needs {} MiB and cannot run: its profile {} allows {} MiB",
                    symbiont::quoted(model.id), needed, symbiont::quoted(name),
                    profile->resources.max_memory_mb));
  }
}

void check_mapped_models(const Slm& slm, const References& references, Problems& problems) {
  std::set<std::string_view> ids;
  for (const Model& model : slm.model_allow_lists.global_models)
    ids.insert(model.id);
  std::vector<std::string_view> candidates;
  if (ids.size() <= config::kMaxSuggestionCandidates) candidates.assign(ids.begin(), ids.end());
  for (const Reference& reference : references.mapped_models) {
    if (ids.contains(reference.name)) continue;
    problems.warning(reference.at, reference.key,
                     fmt::format("there is no model {}; this entry grants nothing",
                                 symbiont::quoted(reference.name)),
                     problems.suggest(reference.name, candidates));
  }
}

// The parser repeats bytes of the file in its messages as they are.
std::string printable(std::string_view message) {
  constexpr std::size_t kMaxMessageBytes = 1'024;
  const std::string text = symbiont::quoted(message, kMaxMessageBytes);
  return text.substr(1, text.size() - 2);  // without the quotes
}

std::expected<toml::table, ConfigErrors> parse(std::string_view text, std::string_view name) {
  Problems problems{std::string(name)};
  if (const auto deep = config::find_deep_key(text, config::kMaxKeyParts); deep.has_value()) {
    problems.error(*deep, {},
                   fmt::format("a key has more than {} dotted parts", config::kMaxKeyParts));
    return std::unexpected(problems.take());
  }
  auto result = toml::parse(text, name);
  if (result) return std::move(result).table();
  const toml::source_position& at = result.error().source().begin;
  problems.error({at.line, at.column}, {}, printable(result.error().description()));
  return std::unexpected(problems.take());
}

std::unexpected<ConfigErrors> whole_file_error(std::string_view name, std::string message) {
  Problems problems{std::string(name)};
  problems.error({}, {}, std::move(message));
  return std::unexpected(problems.take());
}

}  // namespace

std::expected<Slm, ConfigErrors> Slm::from_toml(std::string_view text,
                                                std::string_view name,
                                                const std::filesystem::path& directory) {
  if (text.size() > config::kMaxFileBytes) {
    return whole_file_error(name, fmt::format("is {} bytes long; a configuration has at most {}",
                                              text.size(), config::kMaxFileBytes));
  }
  auto document = parse(text, name);
  if (!document.has_value()) return std::unexpected(std::move(document).error());
  Problems problems{std::string(name)};
  const Context context{problems, directory};
  TableReader root(context, *document, {});
  Slm slm;
  References references;
  read_slm(root, slm, references);
  config::read_server(root, slm.server);
  config::read_audit(root, slm.audit);
  root.finish();
  if (!references.default_profile.name.empty() &&
      find_profile(slm, references.default_profile.name) == nullptr) {
    report_missing_profile(slm, references.default_profile, problems);
  }
  check_models(slm, references, problems);
  check_mapped_models(slm, references, problems);
  const bool failed = problems.any_errors();
  ConfigErrors found = problems.take();
  if (failed) return std::unexpected(std::move(found));
  slm.warnings = std::move(found.warnings);
  return slm;
}

std::expected<Slm, ConfigErrors> Slm::from_file(const std::filesystem::path& path) {
  auto text = read_file(path, config::kMaxFileBytes);
  if (!text.has_value()) return whole_file_error(path.native(), text.error().message());
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  if (error) return whole_file_error(path.native(), "its directory is unknown: " + error.message());
  return from_toml(*text, path.native(), absolute.parent_path());
}

}  // namespace symbiont
