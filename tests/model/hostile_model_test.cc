// Malformed files of each known class: at most one worker is lost, the error is typed, the
// neighbour goes on.

#include "model_fixture.h"

namespace symbiont::testing {
namespace {

class HostileModel : public ModelFixture {};

TEST_F(HostileModel, EachOneIsRefusedAndTheNeighbourAnswers) {
  const auto neighbour = runner_for(tiny());
  ASSERT_TRUE(neighbour->health_check().has_value());
  const int neighbour_pid = neighbour->worker_pid();
  std::size_t crashes = 0;
  for (const auto& variant : hostile_variants()) {
    SCOPED_TRACE(variant.name);
    std::expected<std::unique_ptr<LocalGgufRunner>, SlmRunnerError> runner =
        LocalGgufRunner::create(write("hostile.gguf", variant.bytes), SandboxProfile{}, {});
    if (variant.expected == Expected::PreflightRejects) {
      ASSERT_FALSE(runner.has_value()) << "the preflight let it pass";
      EXPECT_NE(runner.error().get_if<runner_error::ModelInvalid>(), nullptr)
          << runner.error().message();
      continue;
    }
    ASSERT_TRUE(runner.has_value()) << runner.error().message();
    const auto health = (*runner)->health_check();
    if (variant.expected == Expected::Loads) {
      EXPECT_TRUE(health.has_value()) << health.error().message();
      continue;
    }
    ASSERT_FALSE(health.has_value());
    const bool typed = health.error().get_if<runner_error::ModelInvalid>() != nullptr ||
                       health.error().get_if<runner_error::ResourceLimitExceeded>() != nullptr;
    EXPECT_TRUE(typed) << health.error().kind() << ": " << health.error().message();
    crashes += variant.expected == Expected::EngineCrashes ? 1 : 0;
  }
  EXPECT_GE(crashes, 3U) << "no file of the list crashes the engine any more: find another";
  EXPECT_EQ(neighbour->worker_pid(), neighbour_pid);
  ExecutionOptions options;
  options.max_tokens = 4;
  EXPECT_TRUE(neighbour->execute("are you well?", options).has_value());
}

}  // namespace
}  // namespace symbiont::testing
