#include "symbiont/catalog.h"

#include <functional>

#include <gtest/gtest.h>

namespace symbiont {
namespace {

using Cap = ModelCapability;

Model make_model(std::string id, std::uint64_t memory, CapabilitySet capabilities) {
  Model model;
  model.id = id;
  model.name = std::move(id);
  model.provider = provider::LocalFile{"/models/" + model.name + ".gguf"};
  model.capabilities = capabilities;
  model.resource_requirements.min_memory_mb = memory;
  return model;
}

Slm sample() {
  Slm slm;
  slm.model_allow_lists.global_models = {
      make_model("big", 4096, {Cap::TextGeneration, Cap::Reasoning}),
      make_model("small", 512, {Cap::TextGeneration}),
      make_model("coder", 512, {Cap::TextGeneration, Cap::CodeGeneration}),
      make_model("also-small", 512, {Cap::TextGeneration})};
  slm.model_allow_lists.agent_model_maps = {{"scanner", {"small", "big", "ghost", "small"}},
                                            {"idle", {}}};
  return slm;
}

ModelCatalog catalog_of(const Slm& slm) {
  auto catalog = ModelCatalog::create(slm);
  EXPECT_TRUE(catalog.has_value()) << catalog.error().message();
  return *catalog;
}

std::string ids(const std::vector<const Model*>& models) {
  std::string text;
  for (const Model* model : models)
    text += model->id + " ";
  return text;
}

std::string id_of(const Model* model) {
  return model == nullptr ? "none" : model->id;
}

TEST(ModelCatalog, FindsById) {
  const ModelCatalog catalog = catalog_of(sample());
  EXPECT_EQ(id_of(catalog.get_model("coder")), "coder");
  EXPECT_EQ(catalog.get_model("nobody"), nullptr);
  EXPECT_EQ(ids(catalog.list_models()), "big small coder also-small ");
}

TEST(ModelCatalog, ListsAnAgentsModelsInConfiguredOrderOnce) {
  const ModelCatalog catalog = catalog_of(sample());
  EXPECT_EQ(ids(catalog.get_models_for_agent("scanner")), "big small ");
  EXPECT_EQ(ids(catalog.get_models_for_agent("idle")), "");
  EXPECT_EQ(ids(catalog.get_models_for_agent("stranger")), "");
}

TEST(ModelCatalog, UnmappedAgentsGetWhatTheConfigurationSays) {
  Slm slm = sample();
  slm.unmapped_agents = UnmappedAgents::All;
  EXPECT_EQ(catalog_of(slm).get_models_for_agent("stranger").size(), 4U);
  slm.model_allow_lists.agent_model_maps.reset();
  slm.unmapped_agents = UnmappedAgents::Deny;
  EXPECT_EQ(catalog_of(slm).get_models_for_agent("stranger").size(), 4U);
}

TEST(ModelCatalog, ListsByCapability) {
  EXPECT_EQ(ids(catalog_of(sample()).get_models_with_capability(Cap::CodeGeneration)), "coder ");
}

TEST(ModelCatalog, BestModelFitsNeedsLeastAndTiesById) {
  const ModelCatalog catalog = catalog_of(sample());
  const struct {
    CapabilitySet capabilities;
    std::optional<std::uint64_t> memory;
    std::optional<std::string_view> agent;
    const char* expected = nullptr;
  } cases[] = {
      {{Cap::TextGeneration}, {}, {}, "also-small"},
      {{Cap::TextGeneration, Cap::Reasoning}, {}, {}, "big"},
      {{Cap::TextGeneration, Cap::Reasoning}, 4095, {}, "none"},
      {{Cap::TextGeneration, Cap::Reasoning}, 4096, {}, "big"},
      {{Cap::CodeGeneration}, {}, "scanner", "none"},
      {{Cap::TextGeneration}, {}, "scanner", "small"},
      {{Cap::TextGeneration}, 100, "scanner", "none"},
      {{Cap::TextGeneration}, {}, "stranger", "none"},
      {{}, {}, {}, "also-small"},
      {{Cap::Embeddings}, {}, {}, "none"},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(
        id_of(catalog.find_best_model_for_requirements(each.capabilities, each.memory, each.agent)),
        each.expected);
  }
}

/// What find_best_model_for_requirements() promises, by looking at every model.
const Model* best_by_looking(const std::vector<const Model*>& models,
                             CapabilitySet capabilities,
                             std::uint64_t memory) {
  const Model* best = nullptr;
  for (const Model* model : models) {
    const std::uint64_t need = model->resource_requirements.min_memory_mb;
    if (!model->capabilities.contains_all(capabilities) || need > memory) continue;
    if (best == nullptr || std::pair(need, model->id) <
                               std::pair(best->resource_requirements.min_memory_mb, best->id)) {
      best = model;
    }
  }
  return best;
}

TEST(ModelCatalog, BestModelIsWhatLookingAtEveryModelFinds) {
  const auto set_of = [](unsigned mask) {
    CapabilitySet set;
    for (const Cap each : kAllModelCapabilities) {
      if ((mask >> static_cast<unsigned>(each) & 1U) != 0) set.insert(each);
    }
    return set;
  };
  Slm slm;
  auto& mine = slm.model_allow_lists.agent_model_maps.emplace()["agent"];
  for (unsigned i = 0; i < 60; ++i) {
    const std::string id = "m" + std::to_string(i);
    slm.model_allow_lists.global_models.push_back(
        make_model(id, 1 + i * 37 % 11, set_of(i * 29 % 64)));
    if (i % 3 == 0) mine.push_back(id);
  }
  const ModelCatalog catalog = catalog_of(slm);
  for (unsigned mask = 0; mask < 64; ++mask) {
    for (const std::uint64_t memory : {0U, 1U, 5U, 11U}) {
      EXPECT_EQ(catalog.find_best_model_for_requirements(set_of(mask), memory),
                best_by_looking(catalog.list_models(), set_of(mask), memory));
      EXPECT_EQ(catalog.find_best_model_for_requirements(set_of(mask), memory, "agent"),
                best_by_looking(catalog.get_models_for_agent("agent"), set_of(mask), memory));
    }
  }
}

TEST(ModelCatalog, SaysWhyAccessIsRefused) {
  const ModelCatalog catalog = catalog_of(sample());
  EXPECT_TRUE(catalog.validate_model_access("big", "scanner").has_value());
  const auto denied = catalog.validate_model_access("coder", "scanner");
  ASSERT_FALSE(denied.has_value());
  EXPECT_NE(denied.error().get_if<ModelCatalogError::AccessDenied>(), nullptr);
  EXPECT_NE(denied.error().message().find("agent 'scanner' may not use model 'coder'"),
            std::string::npos);
  const auto unknown = catalog.validate_model_access("smal", "scanner");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().message(),
            "model 'smal' is not in the catalogue; did you mean 'small'?");
  const auto stranger = catalog.validate_model_access("big", "stranger");
  ASSERT_FALSE(stranger.has_value());
  EXPECT_NE(stranger.error().get_if<ModelCatalogError::NoModelsForAgent>(), nullptr);
}

TEST(ModelCatalog, ASuggestionNeverNamesAModelTheAgentMayNotUse) {
  const auto unknown = catalog_of(sample()).validate_model_access("code", "scanner");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().message().find("coder"), std::string::npos);
}

TEST(ModelCatalog, PointersLiveAsLongAsAnyCopy) {
  std::optional<ModelCatalog> first = catalog_of(sample());
  const ModelCatalog copy = *first;
  const Model* model = first->get_model("big");
  first.reset();
  EXPECT_EQ(model->id, "big");
}

TEST(ModelCatalog, RefusesAValueThatDoesNotHoldTogether) {
  const struct {
    const char* what;
    std::function<void(Slm&)> spoil;
    const char* message;
  } cases[] = {
      {"disabled", [](Slm& slm) { slm.enabled = false; }, "slm.enabled: is false"},
      {"twins", [](Slm& slm) { slm.model_allow_lists.global_models[1].id = "big"; },
       "two models are called 'big'"},
      {"no id", [](Slm& slm) { slm.model_allow_lists.global_models[0].id.clear(); }, "is empty"},
      {"default", [](Slm& slm) { slm.default_sandbox_profile = "secur"; },
       "did you mean 'secure'?"},
      {"profile", [](Slm& slm) { slm.model_allow_lists.global_models[0].sandbox_profile = "x"; },
       "model 'big': sandbox profile 'x'"},
      {"memory", [](Slm& slm) { slm.sandbox_profiles["a"].resources.max_memory_mb = 0; },
       "max_memory_mb: must be above 0"},
      {"cores", [](Slm& slm) { slm.sandbox_profiles["a"].resources.max_cpu_cores = -1; },
       "max_cpu_cores"},
      {"time",
       [](Slm& slm) { slm.sandbox_profiles["a"].process_limits.max_execution_time_seconds = 0; },
       "max_execution_time"},
  };
  for (const auto& each : cases) {
    Slm slm = sample();
    each.spoil(slm);
    const auto catalog = ModelCatalog::create(slm);
    ASSERT_FALSE(catalog.has_value()) << each.what;
    EXPECT_NE(catalog.error().message().find(each.message), std::string::npos)
        << catalog.error().message();
  }
}

TEST(ModelCatalog, ProfilesAndStatistics) {
  Slm slm = sample();
  slm.sandbox_profiles["wide"].resources.max_memory_mb = 9000;
  slm.model_allow_lists.global_models[0].sandbox_profile = "wide";
  const ModelCatalog catalog = catalog_of(slm);
  EXPECT_EQ(catalog.get_sandbox_profile("big")->name, "wide");
  EXPECT_EQ(catalog.get_sandbox_profile("small")->name, "secure");
  EXPECT_EQ(catalog.get_default_sandbox_profile()->resources.max_memory_mb, 512U);
  EXPECT_EQ(catalog.get_resource_requirements("big")->min_memory_mb, 4096U);
  const CatalogStatistics statistics = catalog.get_statistics();
  EXPECT_EQ(statistics.total_models, 4U);
  EXPECT_EQ(statistics.total_agents, 2U);
  EXPECT_EQ(statistics.total_sandbox_profiles, 2U);
  EXPECT_EQ(statistics.local_models, 4U);
  EXPECT_EQ(statistics.models_by_capability[0], 4U);
}

}  // namespace
}  // namespace symbiont
