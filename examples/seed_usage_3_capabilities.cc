// Finds models by what they can do: seed_usage_3_capabilities CONFIG AGENT
#include <iostream>

#include <symbiont/symbiont.h>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: " << argv[0] << " CONFIG AGENT\n";
    return 2;
  }
  auto config = symbiont::Slm::from_file(argv[1]);
  if (!config) {
    std::cerr << config.error().to_string() << '\n';
    return 3;
  }
  auto catalog = symbiont::ModelCatalog::create(*config);
  if (!catalog) {
    std::cerr << catalog.error().message() << '\n';
    return 3;
  }
  auto code = catalog->get_models_with_capability(symbiont::ModelCapability::CodeGeneration);
  std::cout << code.size() << " models write code\n";
  const symbiont::Model* best = catalog->find_best_model_for_requirements(
      {symbiont::ModelCapability::TextGeneration, symbiont::ModelCapability::Reasoning}, 4096,
      argv[2]);
  std::cout << "best: " << (best == nullptr ? "none" : best->id) << '\n';
  return 0;
}
