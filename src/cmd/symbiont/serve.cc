// symbiont serve: the gateway. Wires the engine, the dispatcher and the HTTP server.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/server.h"
#include "base/pause.h"
#include "base/result.h"
#include "cmd/symbiont/commands.h"
#include "cmd/symbiont/serve_options.h"
#include "cmd/symbiont/terminal.h"
#include "engine/dispatcher.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "observe/observers.h"

namespace symbiont::cli {
namespace {

constexpr std::size_t kMaxShown = 10;  ///< names of a list in the text at the start

std::string join_some(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMaxShown); ++i)
    text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kMaxShown) text += fmt::format(" and {} more", names.size() - kMaxShown);
  return text.empty() ? "none" : text;
}

std::vector<std::string> model_ids(const ModelCatalog& catalog) {
  std::vector<std::string> ids;
  for (const Model* model : catalog.list_models())
    ids.push_back(model->id);
  return ids;
}

std::string agents_text(const Slm& slm) {
  const auto& maps = slm.model_allow_lists.agent_model_maps;
  if (!maps.has_value()) return "any, each may use every model";
  std::vector<std::string> names;
  for (const auto& [agent, models] : *maps)
    names.push_back(agent);
  return join_some(names);
}

/// A first request, ready to paste.
std::string curl_example(const std::string& url, const std::string& model, bool wants_keys) {
  const bool is_unix = url.starts_with("unix:");
  const std::string where =
      is_unix ? fmt::format("--unix-socket {} http://localhost", url.substr(5)) : url;
  return fmt::format(
      "  curl {}/v1/chat/completions{} \\\n"
      "    -d '{{\"model\": \"{}\", \"messages\": [{{\"role\": \"user\", \"content\": "
      "\"Hello\"}}]}}'\n",
      where, wants_keys ? " -H \"Authorization: Bearer $SYMBIONT_API_KEY\"" : "", model);
}

std::string start_text(const api::Server& server, const Slm& slm, const ModelCatalog& catalog) {
  std::string text;
  for (const std::string& url : server.urls())
    text += fmt::format("listening on {}\n", url);
  const std::vector<std::string> ids = model_ids(catalog);
  text += fmt::format("models  {}\nagents  {}\n", join_some(ids), agents_text(slm));
  if (server.port() != 0 && !server.wants_keys()) {
    text += fmt::format(
        "keys    none are asked for: every local program is agent '{}' ('symbiont key new "
        "--help')\n",
        slm.server.default_agent);
  }
  if (!ids.empty()) {
    text += "try\n" + curl_example(server.urls().front(), ids.front(), server.wants_keys());
  }
  return text;
}

DispatcherLimits dispatcher_limits(const ServerLimits& limits) {
  return {.max_running = limits.max_running,
          .max_running_per_agent = limits.max_running_per_agent,
          .max_queued = limits.max_queued,
          .max_queued_per_agent = limits.max_queued_per_agent};
}

constexpr std::chrono::seconds kUnloadInterval{10};

std::uint64_t memory_budget(const ServerLimits& limits) {
  if (limits.memory_budget_mb > 0) return limits.memory_budget_mb << 20U;
  const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
  const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return pages * page_bytes / 5 * 4;
}

/// Everything a running gateway consists of, in the order in which it comes up; it goes down the
/// other way round.
class Gateway {
 public:
  Gateway(ServeOptions options, const Slm& slm, ModelCatalog catalog)
      : options_(std::move(options)),
        metrics_(std::make_shared<observe::Metrics>()),
        engine_(std::move(catalog), engine_options(slm.server.limits)),
        dispatcher_(
            [this](const EngineRequest& request,
                   const TokenSink& sink,
                   const std::stop_token& stop) { return engine_.run(request, sink, stop); },
            dispatcher_limits(slm.server.limits),
            [this](const EngineRequest& request, SlmRunnerError error) {
              return engine_.end_unrun(request, std::move(error));
            }) {}

  std::expected<void, Failure> listen(const Slm& slm) {
    auto server = api::Server::create({.settings = slm.server,
                                       .drain_time = std::chrono::seconds(options_.drain_seconds),
                                       .handle_signals = true},
                                      make_gateway(), log_);
    if (!server.has_value()) {
      Failure failure = to_failure(server.error());
      if (server.error().code() == ErrorCode::FailedPrecondition) {
        failure.exit = ExitCode::Configuration;
      }
      return std::unexpected(std::move(failure));
    }
    server_ = *std::move(server);
    return {};
  }

  int run(const Slm& slm) {
    if (!write_stdout(start_text(*server_, slm, engine_.catalog())).has_value()) {
      log_.warning("stdout_closed");  // a service does not need it
    }
    log_.info("started",
              {{"addresses", server_->urls()}, {"models", engine_.catalog().list_models().size()}});
    const std::jthread unloader([this, idle = slm.server.limits.idle_unload](
                                    const std::stop_token& stop) { unload_idle(idle, stop); });
    if (server_->run()) return to_int(ExitCode::Ok);
    // An execution that ignores its cancellation would keep us here: the workers end with us.
    log_.close();
    ::_exit(to_int(ExitCode::Other));
  }

 private:
  void unload_idle(std::chrono::seconds idle, const std::stop_token& stop) {
    if (idle == std::chrono::seconds(0)) return;
    while (!stop.stop_requested()) {
      pause_until(std::chrono::steady_clock::now() + std::min(idle, kUnloadInterval), stop);
      const std::size_t ended = engine_.unload_idle(idle);
      if (ended > 0) log_.info("unloaded", {{"workers", ended}});
    }
  }
  EngineOptions engine_options(const ServerLimits& limits) {
    std::vector<std::shared_ptr<Observer>> all = {metrics_,
                                                  std::make_shared<observe::LogObserver>(log_)};
    EngineOptions engine_options;
    engine_options.max_parallel = limits.max_parallel;
    engine_options.memory_budget_bytes = memory_budget(limits);
    engine_options.spare_runners = true;
    engine_options.observer = std::make_shared<observe::Observers>(std::move(all));
    return engine_options;
  }

  api::Gateway make_gateway() {
    api::Gateway gateway;
    gateway.engine = &engine_;
    gateway.dispatcher = &dispatcher_;
    if (has_config(options_)) gateway.reload = [this] { return read_again(); };
    gateway.metrics_text = [this] {
      const DispatcherCounts counts = dispatcher_.counts();
      metrics_->set_load(counts.queued, counts.running);
      return metrics_->text();
    };
    using std::chrono::system_clock;
    gateway.started_at = system_clock::to_time_t(system_clock::now());
    return gateway;
  }

  using Taken = std::expected<void, std::string>;

  Taken reload_failed(const std::string& message) {
    log_.error("reload_failed", {{"message", message}});
    return std::unexpected<std::string>("The configuration was not taken over; the log says why.");
  }

  /// All of the configuration, or nothing of it. Reads it here, beside the loop.
  api::Gateway::TakeOver read_again() {
    const auto failed = [this](const std::string& message) {
      return [this, message] { return reload_failed(message); };
    };
    auto slm = load_served(options_);
    if (!slm.has_value()) return failed(slm.error().message);
    auto catalog = ModelCatalog::create(*slm);
    if (!catalog.has_value()) return failed(catalog.error().message());
    return [this, settings = slm->server, catalog = *std::move(catalog)]() -> Taken {
      if (auto applied = server_->apply(settings); !applied.has_value()) {
        return reload_failed(applied.error().message());
      }
      engine_.reload(catalog);
      log_.info("reloaded", {{"models", catalog.list_models().size()}});
      return {};
    };
  }

  const ServeOptions options_;
  observe::EventLog log_{STDERR_FILENO};
  std::shared_ptr<observe::Metrics> metrics_;
  Engine engine_;
  Dispatcher dispatcher_;
  std::unique_ptr<api::Server> server_;
};

int serve(const ServeOptions& options) {
  const auto slm = load_served(options);
  if (!slm.has_value()) return report(slm.error());
  for (const ConfigProblem& warning : slm->warnings)
    print_warning(warning.to_string());
  auto catalog = ModelCatalog::create(*slm);
  if (!catalog.has_value()) return report(to_failure(catalog.error()));
  Gateway gateway(options, *slm, *std::move(catalog));
  if (auto listening = gateway.listen(*slm); !listening.has_value()) {
    return report(listening.error());
  }
  return gateway.run(*slm);
}

}  // namespace

void add_serve(CLI::App& app, Action& action) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* sub = app.add_subcommand("serve", "Answer over HTTP, as OpenAI's API does");
  add_serve_options(*sub, *options);
  sub->footer(R"(Examples:
  symbiont serve --model model.gguf
  symbiont serve --config symbiont.toml --listen 0.0.0.0:8080 --keys /etc/symbiont/keys.json
  symbiont serve --config symbiont.toml --unix /run/symbiont/api.sock

SIGTERM and SIGINT let executions under way end, a second one ends at once; SIGHUP reads the
configuration again. The log goes to standard error, one JSON object a line.)");
  sub->callback([options, &action] { action = [options] { return serve(*options); }; });
}

}  // namespace symbiont::cli
