// A kind of model of your own: subclass SlmRunner and hand the Engine a factory.
#include <algorithm>
#include <iostream>
#include <memory>
#include <string>

#include <symbiont/symbiont.h>

namespace {

/// Answers with the last message, backwards.
class ReversingRunner final : public symbiont::SlmRunner {
 public:
  [[nodiscard]] Outcome execute_chat(std::span<const symbiont::ChatMessage> messages,
                                     const symbiont::ExecutionOptions& /*options*/,
                                     const symbiont::TokenSink& sink,
                                     std::stop_token /*stop_token*/) override {
    symbiont::ExecutionResult result;
    result.response = messages.back().content;
    std::ranges::reverse(result.response);
    if (sink && !sink(result.response)) {
      return std::unexpected(symbiont::SlmRunnerError(symbiont::runner_error::Cancelled{}));
    }
    result.metadata.finish_reason = "stop";
    return result;
  }
  [[nodiscard]] const symbiont::SandboxProfile& get_sandbox_profile() const override {
    return profile_;
  }
  [[nodiscard]] const symbiont::ModelResourceRequirements& get_resource_requirements()
      const override {
    return requirements_;
  }
  [[nodiscard]] std::expected<void, symbiont::SlmRunnerError> health_check() override { return {}; }
  [[nodiscard]] symbiont::RunnerInfo get_info() const override {
    return {.name = "ReversingRunner", .version = "1", .model = "none", .sandboxed = false};
  }

 private:
  symbiont::SandboxProfile profile_;
  symbiont::ModelResourceRequirements requirements_;
};

}  // namespace

int main() {
  symbiont::Model model;
  model.id = "reverse";
  model.name = "Reverse";
  model.provider = symbiont::provider::Custom{"http://localhost/none"};
  model.capabilities = {symbiont::ModelCapability::TextGeneration};
  symbiont::Slm slm;
  slm.model_allow_lists.global_models = {model};
  auto catalog = symbiont::ModelCatalog::create(slm);
  if (!catalog) {
    std::cerr << catalog.error().message() << '\n';
    return 3;
  }
  symbiont::EngineOptions options;
  options.runner_factory = [](const symbiont::RunnerRequest&) {
    return std::make_shared<ReversingRunner>();
  };
  symbiont::Engine engine(*catalog, options);

  symbiont::EngineRequest request;
  request.agent = "example";
  request.model_id = "reverse";
  request.prompt = "stressed";
  auto result = engine.run(request);
  if (!result) {
    std::cerr << symbiont::message(result.error()) << '\n';
    return 1;
  }
  std::cout << result->response << '\n';
  return result->response == "desserts" ? 0 : 1;
}
