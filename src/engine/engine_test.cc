#include "symbiont/engine.h"

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace symbiont {
namespace {

class EchoRunner : public SlmRunner {
 public:
  explicit EchoRunner(std::vector<std::string>& scopes) : scopes_(scopes) {}
  [[nodiscard]] Outcome execute_chat(std::span<const ChatMessage> messages,
                                     const ExecutionOptions& options,
                                     const TokenSink& /*sink*/,
                                     std::stop_token /*stop_token*/) override {
    scopes_.push_back(options.cache_scope);
    ExecutionMetadata metadata;
    metadata.timing.load_ms = std::exchange(is_warm_, messages.back().content != "die") ? 0 : 5;
    if (messages.back().content == "die") {
      SlmRunnerError error(runner_error::ExecutionFailed{"it died"});
      metadata.verdict = {.kind = VerdictKind::SyscallDenied};
      error.set_context({}, std::move(metadata));
      return std::unexpected(std::move(error));
    }
    ExecutionResult result;
    result.response = messages.back().content;
    result.metadata = std::move(metadata);
    return result;
  }
  [[nodiscard]] const SandboxProfile& get_sandbox_profile() const override { return profile_; }
  [[nodiscard]] const ModelResourceRequirements& get_resource_requirements() const override {
    return requirements_;
  }
  [[nodiscard]] std::expected<void, SlmRunnerError> health_check() override { return {}; }
  [[nodiscard]] RunnerInfo get_info() const override { return {}; }

 private:
  std::vector<std::string>& scopes_;
  bool is_warm_ = false;
  SandboxProfile profile_;
  ModelResourceRequirements requirements_;
};

/// Its end waits until it may.
class SlowToEnd final : public EchoRunner {
 public:
  SlowToEnd(std::vector<std::string>& scopes, std::shared_future<void> may_end)
      : EchoRunner(scopes), may_end_(std::move(may_end)) {}
  SlowToEnd(const SlowToEnd&) = delete;
  SlowToEnd& operator=(const SlowToEnd&) = delete;
  ~SlowToEnd() override { may_end_.wait_for(std::chrono::seconds(20)); }

 private:
  std::shared_future<void> may_end_;
};

class CountingObserver final : public Observer {
 public:
  [[nodiscard]] bool on_access(const AccessRecord& record) override {
    ++(record.denied == nullptr ? granted : denied);
    return writable;
  }
  [[nodiscard]] bool on_finished(const ExecutionMetadata& metadata,
                                 const SlmRunnerError* /*error*/) override {
    last = metadata;
    return writable;
  }
  void on_worker_restart(std::string_view agent, std::string_view model_id) override {
    restarts.emplace_back(std::string(agent) + " " + std::string(model_id));
  }
  std::vector<std::string> restarts;
  int granted = 0;
  int denied = 0;
  bool writable = true;
  ExecutionMetadata last;
};

Model make_model(std::string id, Isolation isolation) {
  Model model;
  model.id = std::move(id);
  model.name = model.id;
  model.provider = provider::LocalFile{"/models/x.gguf"};
  model.capabilities = {ModelCapability::TextGeneration};
  if (isolation == Isolation::Shared) model.capabilities.insert(ModelCapability::Embeddings);
  model.isolation = isolation;
  return model;
}

class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    EngineOptions options;
    options.max_runners = 2;
    start(std::move(options));
  }
  void start(EngineOptions options) {
    Slm slm;
    slm.model_allow_lists.global_models = {make_model("own", Isolation::Agent),
                                           make_model("all", Isolation::Shared),
                                           make_model("once", Isolation::Request)};
    slm.model_allow_lists.agent_model_maps = {{"ann", {"own", "all", "once"}},
                                              {"bob", {"own", "all"}}};
    auto catalog = ModelCatalog::create(slm);
    EXPECT_TRUE(catalog.has_value());
    options.observer = observer_;
    options.runner_factory = [this](const RunnerRequest&) {
      ++made_;
      return make_runner_();
    };
    engine_.emplace(*std::move(catalog), std::move(options));
  }
  Engine::Outcome run(std::string agent, std::string model, std::string prompt = "hello") {
    EngineRequest request;
    request.agent = std::move(agent);
    request.model_id = std::move(model);
    request.prompt = std::move(prompt);
    return engine_->run(request);
  }

  std::shared_ptr<CountingObserver> observer_ = std::make_shared<CountingObserver>();
  std::function<std::shared_ptr<SlmRunner>()> make_runner_ = [this] {
    return std::make_shared<EchoRunner>(scopes_);
  };
  int made_ = 0;
  std::vector<std::string> scopes_;
  std::optional<Engine> engine_;
};

TEST_F(EngineTest, ARunnerThatMakesNoEmbeddingsHasFailed) {
  EngineRequest request;
  request.agent = "ann";
  request.model_id = "all";
  request.messages = {{"user", "text"}};
  request.options.embed = true;
  const auto outcome = engine_->run(request);
  ASSERT_FALSE(outcome.has_value());
  EXPECT_NE(std::get<SlmRunnerError>(outcome.error()).get_if<runner_error::ExecutionFailed>(),
            nullptr);
}

TEST_F(EngineTest, EmbeddingsAreForModelsThatAreSaidToMakeThem) {
  EngineRequest request;
  request.agent = "ann";
  request.model_id = "own";
  request.messages = {{"user", "text"}};
  request.options.embed = true;
  const auto outcome = engine_->run(request);
  ASSERT_FALSE(outcome.has_value());
  const auto* error =
      std::get<SlmRunnerError>(outcome.error()).get_if<runner_error::InvalidInput>();
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(error->field, "model");
  EXPECT_EQ(made_, 0) << "no runner is made for it";
}

TEST_F(EngineTest, ReportsWhatEndedBeforeItRan) {
  EngineRequest request;
  request.agent = "ann";
  request.model_id = "own";
  request.execution_id = "exec-1";
  request.queued = std::chrono::milliseconds(70);
  const auto outcome = engine_->end_unrun(request, SlmRunnerError(runner_error::Cancelled{}));
  ASSERT_FALSE(outcome.has_value());
  EXPECT_NE(std::get<SlmRunnerError>(outcome.error()).get_if<runner_error::Cancelled>(), nullptr);
  EXPECT_EQ(observer_->granted, 1);
  EXPECT_EQ(observer_->last.execution_id, "exec-1");
  EXPECT_EQ(observer_->last.profile, "secure");
  EXPECT_EQ(observer_->last.timing.queue_ms, 70);
  EXPECT_EQ(made_, 0);

  request.agent = "stranger";
  const auto denied = engine_->end_unrun(request, SlmRunnerError(runner_error::Cancelled{}));
  ASSERT_FALSE(denied.has_value());
  EXPECT_TRUE(std::holds_alternative<ModelCatalogError>(denied.error()));
  EXPECT_EQ(observer_->denied, 1);
  EXPECT_EQ(observer_->last.agent, "ann") << "a name that was made up is nobody's execution";
}

TEST_F(EngineTest, TellsOfWorkersThatTookTheirPredecessorsPlace) {
  ASSERT_TRUE(run("ann", "own").has_value());
  ASSERT_TRUE(run("ann", "own").has_value());
  EXPECT_TRUE(observer_->restarts.empty());
  ASSERT_FALSE(run("ann", "own", "die").has_value());
  EXPECT_TRUE(observer_->restarts.empty()) << "nothing has been started yet";
  ASSERT_TRUE(run("ann", "own").has_value());
  ASSERT_TRUE(run("ann", "own").has_value());
  EXPECT_EQ(observer_->restarts, std::vector<std::string>{"ann own"});

  ASSERT_TRUE(run("bob", "own").has_value());  // a first worker, another agent's
  ASSERT_TRUE(run("ann", "once").has_value());
  ASSERT_TRUE(run("ann", "once").has_value());  // made anew each time
  EXPECT_EQ(observer_->restarts.size(), 1U);
}

TEST_F(EngineTest, RunsAndReports) {
  const auto outcome = run("ann", "own");
  ASSERT_TRUE(outcome.has_value()) << message(outcome.error());
  EXPECT_EQ(outcome->response, "hello");
  EXPECT_EQ(observer_->granted, 1);
  EXPECT_EQ(observer_->last.agent, "ann");
  EXPECT_EQ(observer_->last.model_id, "own");
  EXPECT_EQ(observer_->last.profile, "secure");
}

TEST_F(EngineTest, AgentsOfASharedRunnerAreRememberedApart) {
  ASSERT_TRUE(run("ann", "all").has_value());
  ASSERT_TRUE(run("bob", "all").has_value());
  EXPECT_EQ(made_, 1);
  EXPECT_EQ(scopes_, (std::vector<std::string>{"ann", "bob"}));
}

TEST_F(EngineTest, ARunnerThatKeepsDyingIsNotAskedAgain) {
  for (int i = 0; i < 3; ++i)
    EXPECT_FALSE(run("ann", "own", "die").has_value());
  EXPECT_FALSE(run("ann", "own").has_value());
  EXPECT_EQ(scopes_.size(), 3U) << "the fourth never reached it";
  EXPECT_TRUE(run("bob", "own").has_value());
}

TEST_F(EngineTest, IdleRunnersAreUnloadedAndMadeAgain) {
  ASSERT_TRUE(run("ann", "own").has_value());
  EXPECT_EQ(engine_->unload_idle(std::chrono::hours(1)), 0U);
  EXPECT_EQ(engine_->unload_idle(std::chrono::milliseconds(0)), 1U);
  ASSERT_TRUE(run("ann", "own").has_value());
  EXPECT_EQ(made_, 2);
}

TEST_F(EngineTest, RunnersShareAMemoryBudget) {
  EngineOptions options;
  options.memory_budget_bytes = 600ULL << 20U;
  start(std::move(options));  // one of 512 MB
  ASSERT_TRUE(run("ann", "own").has_value());
  ASSERT_TRUE(run("bob", "own").has_value());
  ASSERT_TRUE(run("ann", "own").has_value());
  EXPECT_EQ(made_, 3);
}

TEST_F(EngineTest, DenialMakesNoRunner) {
  const auto outcome = run("bob", "once");
  ASSERT_FALSE(outcome.has_value());
  EXPECT_TRUE(std::holds_alternative<ModelCatalogError>(outcome.error()));
  EXPECT_EQ(made_, 0);
  EXPECT_EQ(observer_->denied, 1);
}

TEST_F(EngineTest, RunnersFollowTheIsolation) {
  (void)run("ann", "own");
  (void)run("ann", "own");
  EXPECT_EQ(made_, 1);
  (void)run("bob", "own");
  EXPECT_EQ(made_, 2);
  (void)run("ann", "all");  // evicts the oldest idle one
  (void)run("bob", "all");
  EXPECT_EQ(made_, 3);
  (void)run("ann", "once");
  (void)run("ann", "once");
  EXPECT_EQ(made_, 5);
}

TEST_F(EngineTest, AnUnwritableRecordStopsTheExecution) {
  observer_->writable = false;
  EXPECT_FALSE(run("ann", "own").has_value());
  EXPECT_EQ(made_, 0);
}

TEST_F(EngineTest, AReloadKeepsWhatIsUnchanged) {
  (void)run("ann", "own");
  (void)run("ann", "all");
  EXPECT_EQ(made_, 2);
  Slm slm;
  Model other = make_model("all", Isolation::Shared);
  other.provider = provider::LocalFile{"/models/y.gguf"};
  slm.model_allow_lists.global_models = {make_model("own", Isolation::Agent), other};
  auto catalog = ModelCatalog::create(slm);
  ASSERT_TRUE(catalog.has_value());
  engine_->reload(*std::move(catalog));
  EXPECT_EQ(engine_->catalog().list_models().size(), 2U);
  EXPECT_FALSE(run("ann", "once").has_value());
  (void)run("ann", "own");
  EXPECT_EQ(made_, 2);
  (void)run("ann", "all");
  EXPECT_EQ(made_, 3);
}

TEST_F(EngineTest, AReloadDoesNotWaitForTheEndOfWhatItDrops) {
  std::promise<void> may_end;
  make_runner_ = [this, end = may_end.get_future().share()] {
    return std::make_shared<SlowToEnd>(scopes_, end);
  };
  (void)run("ann", "own");
  auto empty = ModelCatalog::create(Slm{});
  ASSERT_TRUE(empty.has_value());
  const auto begin = std::chrono::steady_clock::now();
  engine_->reload(*std::move(empty));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  may_end.set_value();
}

TEST_F(EngineTest, TakesTheIdAndTheWaitOfTheRequest) {
  EngineRequest request;
  request.agent = "ann";
  request.model_id = "own";
  request.prompt = "p";
  request.execution_id = "exec-given";
  request.queued = std::chrono::milliseconds(7);
  const auto outcome = engine_->run(request);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->metadata.execution_id, "exec-given");
  EXPECT_EQ(outcome->metadata.timing.queue_ms, 7);
}

TEST_F(EngineTest, ProfileOverrideNeedsPermission) {
  EngineRequest request;
  request.agent = "ann";
  request.model_id = "own";
  request.prompt = "p";
  request.profile = "absent";
  const auto outcome = engine_->run(request);
  ASSERT_FALSE(outcome.has_value());
  const auto* error = std::get_if<ModelCatalogError>(&outcome.error());
  ASSERT_NE(error, nullptr);
  EXPECT_NE(error->get_if<ModelCatalogError::SandboxProfileNotFound>(), nullptr);
}

TEST(DefaultRunnerFactory, ChoosesTheRunnerByTheProvider) {
  const RunnerFactory factory = make_default_runner_factory(SandboxHost::create());
  const SandboxProfile profile;
  Model model = make_model("engine", Isolation::Agent);
  model.provider = provider::Process{{"/usr/bin/engine", "--fast"}};
  const auto process =
      factory({.model = model, .profile = profile, .agent = "ann", .on_load_progress = {}});
  ASSERT_TRUE(process.has_value()) << process.error().message();
  EXPECT_EQ((*process)->get_info().name, "ProcessRunner");
  EXPECT_EQ((*process)->get_info().model, "engine");

  model.provider = provider::OpenAI{"remote"};
  const auto remote =
      factory({.model = model, .profile = profile, .agent = "ann", .on_load_progress = {}});
  ASSERT_FALSE(remote.has_value());
  EXPECT_NE(remote.error().get_if<runner_error::InitializationFailed>(), nullptr);
}

/// Tells when it was started ahead.
class TellingRunner final : public EchoRunner {
 public:
  TellingRunner(std::vector<std::string>& scopes, std::promise<void>& started)
      : EchoRunner(scopes), started_(started) {}
  [[nodiscard]] Outcome execute_chat(std::span<const ChatMessage> messages,
                                     const ExecutionOptions& options,
                                     const TokenSink& sink,
                                     std::stop_token stop_token) override {
    Outcome outcome = EchoRunner::execute_chat(messages, options, sink, std::move(stop_token));
    if (options.only_count) started_.set_value();
    return outcome;
  }

 private:
  std::promise<void>& started_;
};

TEST_F(EngineTest, ASpareOfAModelForOneRequestIsWarmBeforeTheNextOne) {
  std::promise<void> started;
  make_runner_ = [&] { return std::make_shared<TellingRunner>(scopes_, started); };
  EngineOptions options;
  options.spare_runners = true;
  start(std::move(options));
  ASSERT_TRUE(run("ann", "own").has_value()) << "one that stays needs no spare";
  EXPECT_EQ(made_, 1);
  const auto first = run("ann", "once");
  ASSERT_TRUE(first.has_value());
  EXPECT_GT(first->metadata.timing.load_ms, 0);
  ASSERT_EQ(started.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_EQ(made_, 3);
  engine_.reset();
}

}  // namespace
}  // namespace symbiont
