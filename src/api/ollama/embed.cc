#include "api/ollama/embed.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/embedding_fields.h"
#include "api/ollama/answer_writer.h"
#include "api/ollama/options.h"
#include "api/request_fields.h"
#include "base/result.h"

namespace symbiont::api::ollama {
namespace {

class EmbedWriter final : public EmbeddingWriter {
 public:
  EmbedWriter(std::string model, bool is_one) : model_(std::move(model)), is_one_(is_one) {}

  void on_end(std::size_t /*choice*/, const ExecutionResult& result, Output& out) override {
    Json all = Json::array();
    for (const std::vector<float>& values : result.embeddings)
      all.push_back(to_json(values));
    if (is_one_) return out.respond({.body = dump({{"embedding", all.at(0)}})});
    const ExecutionTimings& timing = result.metadata.timing;
    out.respond({.body = dump({{"model", model_},
                               {"embeddings", std::move(all)},
                               {"total_duration", nanoseconds(timing.total_ms)},
                               {"load_duration", nanoseconds(timing.load_ms)},
                               {"prompt_eval_count", result.metadata.usage.prompt_tokens}})});
  }

 private:
  std::string model_;  // as the request names it
  bool is_one_;
};

Handled make_plan(Gateway& gateway, const Request& request, bool is_one) {
  SYMBIONT_TRY_STATUS(refuse_query(request));
  SYMBIONT_TRY(const Json body, parse_object(request.body));
  Fields fields(body);
  std::string name = read_model(fields);
  std::vector<std::string> inputs = read_inputs(fields, is_one ? "prompt" : "input", !is_one);
  bool truncate = true;
  if (!is_one) fields.get("truncate", truncate);
  read_surroundings(fields);
  fields.unsupported("dimensions");
  SYMBIONT_TRY_STATUS(fields.finish());

  EngineRequest execution = embedding_request(
      gateway, request, resolve_model(gateway, request.identity.agent, name), std::move(inputs));
  execution.options.truncate = truncate;
  Plan plan;
  plan.executions.push_back(std::move(execution));
  plan.writer = std::make_unique<EmbedWriter>(std::move(name), is_one);
  return plan;
}

}  // namespace

Handled embed(Gateway& gateway, const Request& request) {
  return make_plan(gateway, request, /*is_one=*/false);
}

Handled embed_one(Gateway& gateway, const Request& request) {
  return make_plan(gateway, request, /*is_one=*/true);
}

}  // namespace symbiont::api::ollama
