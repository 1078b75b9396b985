// One connection's bytes: the request in them, its route, its handler, and what is written of a
// made-up answer. The first byte says in which pieces the others arrive.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "symbiont/engine.h"

#include "api/json.h"
#include "api/request_reader.h"
#include "api/routes.h"

namespace {

using namespace symbiont::api;  // NOLINT(google-build-using-namespace): one subject

constexpr std::size_t kMaxBodyBytes = 8192;
constexpr std::string_view kSaid = "said \"this\"\nand {\"name\": \"f\", \"arguments\": {}}";

void require(bool truth) {
  if (!truth) std::abort();
}

/// No configuration is needed, nothing runs: handlers look models up and make plans.
struct World {
  World() : engine(make_engine()), dispatcher(refuse_to_run) {
    gateway.engine = &engine;
    gateway.dispatcher = &dispatcher;
    gateway.metrics_text = [] { return std::string("up 1\n"); };
    gateway.reload = [] {
      return []() -> std::expected<void, std::string> { return std::unexpected("no file"); };
    };
  }

  static symbiont::Engine make_engine() {
    symbiont::Slm slm;
    symbiont::Model model;
    model.id = "m";
    model.name = "m";
    model.provider = symbiont::provider::LocalFile{"/models/x.gguf"};
    model.capabilities = {symbiont::ModelCapability::TextGeneration,
                          symbiont::ModelCapability::Embeddings};
    slm.model_allow_lists.global_models.push_back(std::move(model));
    auto catalog = symbiont::ModelCatalog::create(slm);
    require(catalog.has_value());
    symbiont::EngineOptions options;
    options.runner_factory = [](const symbiont::RunnerRequest&) {
      return std::shared_ptr<symbiont::SlmRunner>();
    };
    return symbiont::Engine(*std::move(catalog), std::move(options));
  }
  static symbiont::Engine::Outcome refuse_to_run(const symbiont::EngineRequest&,
                                                 const symbiont::TokenSink&,
                                                 const std::stop_token&) {
    std::abort();  // nobody submits anything
  }

  symbiont::Engine engine;
  symbiont::Dispatcher dispatcher;
  Gateway gateway;
};

/// What a client gets: never an error of ours, and JSON where it says so.
void check_response(const Response& response) {
  require(response.status >= 200 && response.status != 500);
  if (response.content_type == "application/json" && !response.body.empty())
    require(Json::accept(response.body));
}

void check_error(const ApiError& error, ErrorRenderer render, const Request& request) {
  require(!error.message.empty());
  check_response(render(error, request));
}

symbiont::ExecutionResult made_up_result(const symbiont::EngineRequest& execution) {
  symbiont::ExecutionResult result;
  result.response = kSaid;
  result.metadata.finish_reason = "stop";
  if (execution.options.embed) result.embeddings.resize(execution.messages.size(), {0.5F, 0.25F});
  return result;
}

void check_plan(Plan plan, bool fails) {
  const std::size_t choices = plan.executions.size();
  require(choices >= 1 && choices <= kMaxChoices);
  Output out;
  plan.writer->on_start(std::vector<std::string>(choices, "exec-1"));
  for (std::size_t choice = 0; choice < choices; ++choice) {
    if (plan.streams) plan.writer->on_text(choice, kSaid, out);
    if (fails && out.is_stream()) {
      return plan.writer->on_error({.kind = ErrorKind::Unavailable, .message = "no"}, out);
    }
    plan.writer->on_end(choice, made_up_result(plan.executions[choice]), out);
  }
  plan.writer->finish(out);
  require(out.is_stream() == plan.streams);
  if (!out.is_stream()) check_response(out.response());
}

void check_handler(World& world, const Request& request, bool fails) {
  auto match = find_route(request.method, request.path);
  if (!match.has_value()) return check_error(match.error(), error_renderer_for(request), request);
  Request routed = request;
  routed.path_parameter = match->parameter;
  Handled handled = match->route->handler(world.gateway, routed);
  if (!handled.has_value()) return check_error(handled.error(), match->route->render_error, routed);
  if (const auto* response = std::get_if<Response>(&*handled)) return check_response(*response);
  if (const auto* later = std::get_if<Later>(&*handled)) {
    const auto answer = later->work()();
    if (answer.has_value()) return check_response(*answer);
    return check_error(answer.error(), match->route->render_error, routed);
  }
  check_plan(std::get<Plan>(std::move(*handled)), fails);
}

/// False: `bytes` hold no whole request.
bool read_request(std::string_view bytes, std::size_t piece, Request& request) {
  RequestReader reader(kMaxBodyBytes);
  std::string waiting;
  std::optional<Request> head;
  while (!reader.is_done()) {
    if (bytes.empty()) return false;
    const std::string_view more = bytes.substr(0, piece);
    bytes.remove_prefix(more.size());
    waiting.append(more);
    for (std::size_t used = 1; used > 0 && !reader.is_done();) {
      used = reader.feed(waiting);
      require(used <= waiting.size());
      waiting.erase(0, used);
      if (reader.error().has_value()) return require(!reader.error()->message.empty()), false;
      if (!reader.has_head() || head.has_value()) continue;
      auto taken = reader.take_head();
      if (!taken.has_value()) return false;
      head = *std::move(taken);
      used = 1;  // the body may be there already
    }
    require(waiting.size() <= kMaxHeadBytes + piece);
  }
  if (!head.has_value()) return false;
  request = *std::move(head);
  request.body = reader.take_body();
  require(request.body.size() <= kMaxBodyBytes);
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece = data[0] == 0 ? std::max<std::size_t>(bytes.size(), 1) : data[0];
  Request request;
  if (!read_request(bytes, piece, request)) return 0;
  request.id = "req-1";
  request.identity = {.agent = "a", .scopes = Scopes::all(), .key_id = ""};
  check_handler(world, request, data[0] % 2 == 1);
  return 0;
}
