// symbiont models list|show|best: what the catalogue holds, and for whom.

#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "symbiont/catalog.h"

#include "base/result.h"
#include "base/strings.h"
#include "cmd/symbiont/commands.h"
#include "cmd/symbiont/table.h"
#include "observe/json.h"

namespace symbiont::cli {
namespace {

struct ModelsCommand {
  std::string config;
  std::string agent;
  std::string id;
  std::vector<std::string> capabilities;
  std::optional<std::uint64_t> max_memory_mb;
  bool json = false;
};

std::expected<ModelCatalog, Failure> open_catalog(const ModelsCommand& command) {
  SYMBIONT_TRY(const Slm slm, load_config(command.config));
  auto catalog = ModelCatalog::create(slm);
  if (!catalog.has_value()) return std::unexpected(to_failure(catalog.error()));
  return *std::move(catalog);
}

std::expected<CapabilitySet, Failure> parse_capabilities(const std::vector<std::string>& names) {
  CapabilitySet set;
  std::vector<std::string_view> known;
  known.reserve(kAllModelCapabilities.size());
  for (const ModelCapability capability : kAllModelCapabilities)
    known.push_back(to_string(capability));
  for (const std::string& name : names) {
    std::string_view wanted = name;
    // Written in another case, it is still this one.
    if (const auto near = closest_match(name, known); edit_distance(name, near) == 0) wanted = near;
    const auto capability = capability_from_string(wanted);
    if (!capability.has_value()) {
      return std::unexpected(
          usage_failure(fmt::format("--capability: there is no {}", symbiont::quoted(name)),
                        fmt::format("one of {}", fmt::to_string(fmt::join(known, ", ")))));
    }
    set.insert(*capability);
  }
  return set;
}

std::string names_of(CapabilitySet set) {
  std::string out;
  for (const ModelCapability capability : set.to_vector()) {
    if (!out.empty()) out += ' ';
    out += to_string(capability);
  }
  return out;
}

struct LocationOf {
  std::string operator()(const provider::LocalFile& p) const { return p.file_path.string(); }
  std::string operator()(const provider::HuggingFace& p) const { return p.model_path; }
  std::string operator()(const provider::OpenAI& p) const { return p.model_name; }
  std::string operator()(const provider::Anthropic& p) const { return p.model_name; }
  std::string operator()(const provider::Custom& p) const { return p.endpoint_url; }
  std::string operator()(const provider::Process& p) const {
    return fmt::to_string(fmt::join(p.command, " "));
  }
};

std::string memory_text(const Model& model) {
  const std::uint64_t mb = model.resource_requirements.min_memory_mb;
  return mb == 0 ? "-" : fmt::format("{} MiB", mb);
}

observe::Json to_json(const Model& model, const ModelCatalog& catalog) {
  observe::Json capabilities = observe::Json::array();
  for (const ModelCapability capability : model.capabilities.to_vector())
    capabilities.push_back(to_string(capability));
  return {{"id", model.id},
          {"name", model.name},
          {"provider", provider_name(model.provider)},
          {"location", std::visit(LocationOf{}, model.provider)},
          {"capabilities", std::move(capabilities)},
          {"version", model.version},
          {"sha256", model.sha256},
          {"sandbox_profile", catalog.get_sandbox_profile(model.id)->name},
          {"isolation", to_string(model.isolation)},
          {"resource_requirements",
           {{"min_memory_mb", model.resource_requirements.min_memory_mb},
            {"preferred_cpu_cores", model.resource_requirements.preferred_cpu_cores}}}};
}

int print(const std::string& text) {
  return to_int(write_stdout(text).has_value() ? ExitCode::Ok : ExitCode::ReaderGone);
}

int list(const ModelsCommand& command) {
  const auto catalog = open_catalog(command);
  if (!catalog.has_value()) return report(catalog.error(), command.json);
  const auto wanted = parse_capabilities(command.capabilities);
  if (!wanted.has_value()) return report(wanted.error(), command.json);
  const auto models =
      command.agent.empty() ? catalog->list_models() : catalog->get_models_for_agent(command.agent);
  Table table({"ID", "NAME", "PROVIDER", "MEMORY", "PROFILE", "CAPABILITIES"});
  observe::Json json = observe::Json::array();
  std::size_t count = 0;
  for (const Model* model : models) {
    if (!model->capabilities.contains_all(*wanted)) continue;
    ++count;
    json.push_back(to_json(*model, *catalog));
    table.add({{model->id, Paint::Cyan},
               {model->name},
               {std::string(provider_name(model->provider))},
               {memory_text(*model), Paint::None, true},
               {catalog->get_sandbox_profile(model->id)->name},
               {names_of(model->capabilities)}});
  }
  if (command.json) return print(observe::dump(json) + "\n");
  if (count == 0) {
    print_warning(command.agent.empty() ? std::string("no model matches")
                                        : fmt::format("agent {} may use no such model",
                                                      symbiont::quoted(command.agent)));
    return to_int(ExitCode::Ok);
  }
  return print(table.to_string(wants_colour(STDOUT_FILENO)));
}

/// One model in full, with the limits of the profile it runs under.
int print_model(const Model& model, const ModelCatalog& catalog, bool json) {
  if (json) return print(observe::dump(to_json(model, catalog)) + "\n");
  const SandboxProfile& profile = *catalog.get_sandbox_profile(model.id);
  const auto or_dash = [](const std::string& text) { return text.empty() ? "-" : text; };
  Table table({});
  const auto row = [&table](std::string name, std::string value) {
    table.add({{std::move(name), Paint::Dim}, {std::move(value)}});
  };
  row("id", model.id);
  row("name", model.name);
  row("provider", fmt::format("{} {}", provider_name(model.provider),
                              std::visit(LocationOf{}, model.provider)));
  row("capabilities", or_dash(names_of(model.capabilities)));
  row("version", or_dash(model.version));
  row("sha256", or_dash(model.sha256));
  row("isolation", std::string(to_string(model.isolation)));
  row("memory", fmt::format("needs {}, profile allows {} MiB", memory_text(model),
                            profile.resources.max_memory_mb));
  row("cpu", fmt::format("prefers {:g} cores, profile allows {:g}",
                         model.resource_requirements.preferred_cpu_cores,
                         profile.resources.max_cpu_cores));
  row("profile", profile.name);
  row("time",
      fmt::format("profile allows {} s", profile.process_limits.max_execution_time_seconds));
  return print(table.to_string(wants_colour(STDOUT_FILENO)));
}

Failure unknown_model(const ModelCatalog& catalog, std::string_view id) {
  std::vector<std::string_view> ids;
  for (const Model* model : catalog.list_models())
    ids.push_back(model->id);
  return to_failure(ModelCatalogError(
      ModelCatalogError::ModelNotFound{std::string(id), std::string(closest_match(id, ids))}));
}

int show(const ModelsCommand& command) {
  const auto catalog = open_catalog(command);
  if (!catalog.has_value()) return report(catalog.error(), command.json);
  const Model* model = catalog->get_model(command.id);
  if (!command.agent.empty()) {
    // An agent's question is answered as its run would be: nothing tells it of other models.
    const auto allowed = catalog->validate_model_access(command.id, command.agent);
    if (!allowed.has_value()) return report(to_failure(allowed.error()), command.json);
  }
  if (model == nullptr) return report(unknown_model(*catalog, command.id), command.json);
  return print_model(*model, *catalog, command.json);
}

int best(const ModelsCommand& command) {
  const auto catalog = open_catalog(command);
  if (!catalog.has_value()) return report(catalog.error(), command.json);
  const auto wanted = parse_capabilities(command.capabilities);
  if (!wanted.has_value()) return report(wanted.error(), command.json);
  std::optional<std::string_view> agent;
  if (!command.agent.empty()) agent = command.agent;
  const Model* model =
      catalog->find_best_model_for_requirements(*wanted, command.max_memory_mb, agent);
  if (model == nullptr) {
    return report(
        Failure{ExitCode::ModelNotFound, "ModelNotFound", "no model fits these requirements",
                "'symbiont models list' shows what there is; ask for fewer capabilities "
                "or allow more memory"},
        command.json);
  }
  return print_model(*model, *catalog, command.json);
}

using Function = int (*)(const ModelsCommand&);

CLI::App* add_one(CLI::App& parent,
                  Action& action,
                  const std::shared_ptr<ModelsCommand>& command,
                  Function function,
                  const char* name,
                  const char* text) {
  CLI::App* sub = parent.add_subcommand(name, text);
  add_config_option(*sub, command->config);
  sub->add_option("--agent", command->agent, "only what this agent may use")->type_name("NAME");
  sub->add_flag("--json", command->json, "as JSON");
  sub->callback([command, function, &action] {
    action = [command, function] { return function(*command); };
  });
  return sub;
}

void add_capabilities(CLI::App& sub, ModelsCommand& command) {
  sub.add_option("--capability", command.capabilities, "needs this capability; repeatable")
      ->type_name("NAME")
      ->allow_extra_args(false);
}

}  // namespace

void add_models(CLI::App& app, Action& action) {
  auto command = std::make_shared<ModelsCommand>();
  CLI::App* models = app.add_subcommand("models", "Show the models of the configuration");
  models->require_subcommand(1);
  models->footer(
      "Examples:\n  symbiont models list --agent reviewer\n  symbiont models show llama2-7b\n"
      "  symbiont models best --capability Reasoning --max-memory-mb 4096");
  CLI::App* all = add_one(*models, action, command, list, "list", "List models");
  add_capabilities(*all, *command);
  all->footer("Examples:\n  symbiont models list\n  symbiont models list --agent reviewer --json");
  CLI::App* one = add_one(*models, action, command, show, "show", "Show one model");
  one->add_option("id", command->id, "id of the model")->required();
  one->footer("Examples:\n  symbiont models show llama2-7b");
  CLI::App* fit = add_one(*models, action, command, best, "best",
                          "Show the model that meets requirements with least memory");
  add_capabilities(*fit, *command);
  fit->add_option("--max-memory-mb", command->max_memory_mb, "needs at most this much, in MiB")
      ->type_name("N");
  fit->footer(
      "Examples:\n  symbiont models best --capability TextGeneration --capability Reasoning\n"
      "  symbiont models best --max-memory-mb 4096 --agent reviewer --json");
}

}  // namespace symbiont::cli
