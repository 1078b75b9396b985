// A catalogue of 100,000 models and 10,000 agents: build, lookup by id, best model for an agent.

#include <cstdint>
#include <string>

#include <benchmark/benchmark.h>

#include "symbiont/catalog.h"

namespace {

using namespace symbiont;  // NOLINT(google-build-using-namespace): a main

constexpr int kModels = 100'000;
constexpr int kAgents = 10'000;
constexpr int kModelsPerAgent = 20;

Slm make_slm() {
  Slm slm;
  slm.model_allow_lists.global_models.reserve(kModels);
  for (int i = 0; i < kModels; ++i) {
    Model model;
    model.id = "model-" + std::to_string(i);
    model.name = "Model " + std::to_string(i);
    model.provider = provider::LocalFile{"/models/" + model.id + ".gguf"};
    for (std::size_t bit = 0; bit < kAllModelCapabilities.size(); ++bit) {
      if (((static_cast<unsigned>(i) * 2654435761U) >> (bit + 8U) & 1U) != 0)
        model.capabilities.insert(kAllModelCapabilities[bit]);
    }
    model.resource_requirements.min_memory_mb = static_cast<std::uint64_t>(128 + i * 7919 % 16384);
    slm.model_allow_lists.global_models.push_back(std::move(model));
  }
  auto& maps = slm.model_allow_lists.agent_model_maps.emplace();
  for (int agent = 0; agent < kAgents; ++agent) {
    auto& ids = maps["agent-" + std::to_string(agent)];
    for (int k = 0; k < kModelsPerAgent; ++k)
      ids.push_back("model-" + std::to_string((agent * 31 + k * 4999) % kModels));
  }
  return slm;
}

const Slm& sample() {
  static const Slm kSlm = make_slm();
  return kSlm;
}

void build(benchmark::State& state) {
  for (auto _ : state)
    benchmark::DoNotOptimize(ModelCatalog::create(sample()));
}
BENCHMARK(build)->Unit(benchmark::kMillisecond);

void lookup_by_id(benchmark::State& state) {
  const auto catalog = *ModelCatalog::create(sample());
  std::uint32_t i = 0;
  for (auto _ : state) {
    i = i * 1664525 + 1013904223;
    benchmark::DoNotOptimize(
        catalog.get_model(sample().model_allow_lists.global_models[i % kModels].id));
  }
}
BENCHMARK(lookup_by_id)->Unit(benchmark::kNanosecond);

void best_of_all(benchmark::State& state) {
  const auto catalog = *ModelCatalog::create(sample());
  for (auto _ : state) {
    benchmark::DoNotOptimize(catalog.find_best_model_for_requirements(
        {ModelCapability::TextGeneration, ModelCapability::Reasoning}, 4096));
  }
}
BENCHMARK(best_of_all)->Unit(benchmark::kNanosecond);

void best_for_agent(benchmark::State& state) {
  const auto catalog = *ModelCatalog::create(sample());
  std::uint32_t i = 0;
  for (auto _ : state) {
    i = i * 1664525 + 1013904223;
    benchmark::DoNotOptimize(catalog.find_best_model_for_requirements(
        {ModelCapability::TextGeneration}, 8192, "agent-" + std::to_string(i % kAgents)));
  }
}
BENCHMARK(best_for_agent)->Unit(benchmark::kNanosecond);

}  // namespace

BENCHMARK_MAIN();
