// Runs one prompt: seed_usage_1_run CONFIG MODEL_ID MODEL_FILE
#include <chrono>
#include <iostream>

#include <symbiont/symbiont.h>

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: " << argv[0] << " CONFIG MODEL_ID MODEL_FILE\n";
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
  const symbiont::Model* model = catalog->get_model(argv[2]);
  if (model == nullptr) {
    std::cerr << "no model '" << argv[2] << "'\n";
    return 5;
  }
  const symbiont::SandboxProfile* profile = catalog->get_default_sandbox_profile();
  auto runner = symbiont::LocalGgufRunner::create(argv[3], *profile, model->resource_requirements);
  if (!runner) {
    std::cerr << runner.error().message() << '\n';
    return 1;
  }
  symbiont::ExecutionOptions options;
  options.timeout = std::chrono::seconds(30);
  options.temperature = 0.7F;
  options.max_tokens = 256;
  auto result = (*runner)->execute("Explain quantum computing", options);
  if (!result) {
    std::cerr << result.error().message() << '\n';
    return 1;
  }
  std::cout << result->response << '\n';
  return 0;
}
