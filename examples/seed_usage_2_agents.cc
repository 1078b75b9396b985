// Lists the models of an agent and checks access: seed_usage_2_agents CONFIG AGENT MODEL_ID
#include <iostream>

#include <symbiont/symbiont.h>

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: " << argv[0] << " CONFIG AGENT MODEL_ID\n";
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
  for (const symbiont::Model* m : catalog->get_models_for_agent(argv[2])) {
    std::cout << m->name << " (" << m->id << ")\n";
  }
  auto allowed = catalog->validate_model_access(argv[3], argv[2]);
  if (!allowed) {
    std::cerr << allowed.error().message() << '\n';
    return 4;
  }
  std::cout << argv[2] << " may use " << argv[3] << '\n';
  return 0;
}
