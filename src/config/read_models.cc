#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <utility>

#include <fmt/core.h>

#include "base/strings.h"
#include "config/address.h"
#include "config/limits.h"
#include "config/readers.h"

namespace symbiont::config {
namespace {

constexpr std::size_t kMaxMappedModels = 1'000'000;  // of one agent
constexpr std::array<std::string_view, 3> kIsolations = {"shared", "agent", "request"};

void read_command(TableReader& table, provider::Process& into) {
  table.read_texts("command", kMaxListItems,
                   [&](std::string text, const toml::node&, const std::string&) {
                     into.command.push_back(std::move(text));
                   });
  const toml::node* node = table.table().get("command");
  if (node == nullptr || !node->is_array()) return;
  if (node->as_array()->empty()) {
    table.error(*node, "command", "must name a program");
  } else if (!into.command.empty() && !into.command.front().starts_with('/')) {
    table.error(*node, "command",
                fmt::format("the program {} must be an absolute path: no search path is used",
                            symbiont::quoted(into.command.front())));
  }
}

// Each alternative has one key; read it into the variant's member.
void read_provider_details(TableReader& table, std::string_view alternative, ModelProvider& into) {
  const auto text = [&](std::string_view key, auto value, auto member) {
    if (table.require(key) != nullptr) table.get(key, value.*member, kMaxTextBytes);
    into = std::move(value);
  };
  if (alternative == "LocalFile") {
    provider::LocalFile local;
    if (table.require("file_path") != nullptr) table.read_file_path("file_path", local.file_path);
    into = std::move(local);
  } else if (alternative == "HuggingFace") {
    text("model_path", provider::HuggingFace{}, &provider::HuggingFace::model_path);
  } else if (alternative == "OpenAI") {
    text("model_name", provider::OpenAI{}, &provider::OpenAI::model_name);
  } else if (alternative == "Anthropic") {
    text("model_name", provider::Anthropic{}, &provider::Anthropic::model_name);
  } else if (alternative == "Custom") {
    text("endpoint_url", provider::Custom{}, &provider::Custom::endpoint_url);
    const std::string& url = std::get<provider::Custom>(into).endpoint_url;
    const auto problem = url.empty() ? std::nullopt : find_url_problem(url);
    if (problem) table.error(*table.table().get("endpoint_url"), "endpoint_url", *problem);
  } else if (alternative == "Process") {
    provider::Process process;
    if (table.require("command") != nullptr) read_command(table, process);
    into = std::move(process);
  }
  table.finish();
}

void read_provider(TableReader& model, ModelProvider& into) {
  constexpr std::array<std::string_view, 6> kNames = {"LocalFile", "HuggingFace", "OpenAI",
                                                      "Anthropic", "Custom",      "Process"};
  if (model.require("provider") == nullptr) return;
  const toml::table* table = model.find_table("provider");
  if (table == nullptr) return;
  if (table->size() != 1) {
    model.error(*table, "provider",
                fmt::format("must hold exactly one provider, as in {{ LocalFile = {{ file_path = "
                            "\"...\" }} }}; it holds {}",
                            table->size()));
    return;
  }
  const auto first = table->begin();  // holds what it points to
  const toml::key& key = first->first;
  TableReader provider(model.context(), *table, model.path_of("provider"));
  for (const std::string_view name : kNames) {
    if (name != key.str()) continue;
    const toml::table* details = provider.find_table(name);
    if (details == nullptr) return;
    TableReader inner(model.context(), *details, provider.path_of(name));
    read_provider_details(inner, name, into);
    return;
  }
  model.context().problems.error(place_of(key), provider.path_of(key.str()), "unknown provider",
                                 model.context().problems.suggest(key.str(), kNames));
}

void read_capabilities(TableReader& model, CapabilitySet& into) {
  if (model.require("capabilities") == nullptr) return;
  std::array<std::string_view, kAllModelCapabilities.size()> names;
  std::ranges::transform(kAllModelCapabilities, names.begin(),
                         [](ModelCapability capability) { return to_string(capability); });
  model.read_texts("capabilities", kMaxListItems,
                   [&](const std::string& text, const toml::node& at, const std::string& key) {
                     const auto capability = capability_from_string(text);
                     if (capability) {
                       into.insert(*capability);
                       return;
                     }
                     model.context().problems.error(
                         place_of(at), key,
                         fmt::format("unknown capability {}", symbiont::quoted(text)),
                         model.context().problems.suggest(text, names));
                   });
}

void read_sha256(TableReader& model, std::string& into) {
  std::string text;
  if (!model.get("sha256", text, kMaxTextBytes)) return;
  const auto is_hex = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  };
  if (text.size() != 64 || !std::ranges::all_of(text, is_hex)) {
    model.error(*model.table().get("sha256"), "sha256",
                fmt::format("must be 64 hexadecimal digits, not {}", symbiont::quoted(text)));
    return;
  }
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  into = std::move(text);
}

void read_compute_capability(TableReader& gpu, std::string& into) {
  std::string text;
  if (!gpu.get("compute_capability", text, kMaxNameBytes)) return;
  const bool right =
      text.front() != '.' && text.back() != '.' && std::ranges::count(text, '.') <= 1 &&
      std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  if (right) {
    into = std::move(text);
    return;
  }
  gpu.error(*gpu.table().get("compute_capability"), "compute_capability",
            fmt::format("must be a version such as \"8.6\", not {}", symbiont::quoted(text)));
}

void read_requirements(TableReader& model, ModelResourceRequirements& into, ModelPlace& place) {
  const toml::table* table = model.find_table("resource_requirements");
  if (table == nullptr) return;
  TableReader reader(model.context(), *table, model.path_of("resource_requirements"));
  if (reader.get("min_memory_mb", into.min_memory_mb, {1, kMaxMegabytes, "MiB"})) {
    place.min_memory = place_of(*table->get("min_memory_mb"));
  }
  reader.get("preferred_cpu_cores", into.preferred_cpu_cores, {kMinCpuCores, kMaxCpuCores});
  if (const toml::table* gpu_table = reader.find_table("gpu_requirements"); gpu_table != nullptr) {
    TableReader gpu(model.context(), *gpu_table, reader.path_of("gpu_requirements"));
    into.gpu_requirements.emplace();
    gpu.get("min_vram_mb", into.gpu_requirements->min_vram_mb, {1, kMaxMegabytes, "MiB"});
    read_compute_capability(gpu, into.gpu_requirements->compute_capability);
    gpu.finish();
  }
  reader.finish();
}

Model read_model(TableReader& reader, ModelPlace& place) {
  Model model;
  place.key = reader.path();
  if (const toml::node* id = reader.require("id"); id != nullptr) {
    reader.get("id", model.id, kMaxNameBytes);
    place.id = place_of(*id);
  }
  if (!reader.get("name", model.name, kMaxNameBytes)) model.name = model.id;
  read_provider(reader, model.provider);
  read_capabilities(reader, model.capabilities);
  reader.get("version", model.version, kMaxNameBytes);
  read_sha256(reader, model.sha256);
  if (reader.get("sandbox_profile", model.sandbox_profile, kMaxNameBytes)) {
    place.sandbox_profile = place_of(*reader.table().get("sandbox_profile"));
  }
  reader.read_enum("isolation", model.isolation, kIsolations);
  read_requirements(reader, model.resource_requirements, place);
  reader.finish();
  return model;
}

}  // namespace

void read_models(TableReader& lists, ModelAllowLists& into, References& references) {
  const toml::array* models = lists.find_array("global_models");
  if (models == nullptr) return;
  std::map<std::string, std::uint32_t, std::less<>> lines;  // id to the line that first has it
  std::size_t index = 0;
  for (const toml::node& node : *models) {
    const std::string key = fmt::format("{}[{}]", lists.path_of("global_models"), index++);
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      lists.context().problems.error(place_of(node), key, "must be a table");
      continue;
    }
    TableReader reader(lists.context(), *table, key);
    ModelPlace place;
    Model model = read_model(reader, place);
    if (!model.id.empty()) {
      const auto [first, is_new] = lines.emplace(model.id, place.id.line);
      if (!is_new) {
        lists.context().problems.error(place.id, key + ".id",
                                       fmt::format("the id {} is taken by the model in line {}",
                                                   symbiont::quoted(model.id), first->second));
      }
    }
    into.global_models.push_back(std::move(model));
    references.models.push_back(std::move(place));
  }
}

void read_agent_maps(TableReader& lists, ModelAllowLists& into, References& references) {
  const toml::table* table = lists.find_table("agent_model_maps");
  if (table == nullptr) return;
  TableReader maps(lists.context(), *table, lists.path_of("agent_model_maps"));
  auto& agents = into.agent_model_maps.emplace();
  for (const auto& [agent, node] : *table) {
    if (!check_text(lists.context(), node, maps.path_of(agent.str()), agent.str(), kMaxNameBytes))
      continue;
    auto& ids = agents[std::string(agent.str())];
    maps.read_texts(agent.str(), kMaxMappedModels,
                    [&](std::string id, const toml::node& at, const std::string& key) {
                      references.mapped_models.push_back({id, key, place_of(at)});
                      ids.push_back(std::move(id));
                    });
  }
}

}  // namespace symbiont::config
