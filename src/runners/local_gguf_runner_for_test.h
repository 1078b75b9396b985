#ifndef SYMBIONT_RUNNERS_LOCAL_GGUF_RUNNER_FOR_TEST_H_
#define SYMBIONT_RUNNERS_LOCAL_GGUF_RUNNER_FOR_TEST_H_

// A LocalGgufRunner whose workers are scripts.

#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "symbiont/local_gguf_runner.h"

#include "runners/fake_worker.h"
#include "runners/local_gguf_runner_impl.h"

namespace symbiont::testing {

namespace fs = std::filesystem;

class LocalGgufRunnerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "symbiont-runner-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    model_ = directory_ / "m.gguf";
    // magic, version 3, no tensors, no keys
    std::ofstream(model_) << std::string("GGUF\3\0\0\0", 8) << std::string(16, '\0');
  }
  void TearDown() override { fs::remove_all(directory_); }

  auto try_make(const FakeScript& script,
                LocalGgufOptions options = {},
                SandboxProfile profile = {}) {
    launcher_ = std::make_shared<FakeLauncher>(script);
    return make_local_gguf_runner({.launcher = launcher_,
                                   .worker_program = "/bin/false",
                                   .cancel_grace = std::chrono::milliseconds(50)},
                                  model_, profile, {}, std::move(options));
  }
  std::unique_ptr<LocalGgufRunner> make(const FakeScript& script, LocalGgufOptions options = {}) {
    auto runner = try_make(script, std::move(options));
    EXPECT_TRUE(runner.has_value()) << runner.error().message();
    return runner.has_value() ? *std::move(runner) : nullptr;
  }

  fs::path directory_;
  fs::path model_;
  std::shared_ptr<FakeLauncher> launcher_;
};

inline std::string kind_of(const SlmRunner::Outcome& outcome) {
  return outcome.has_value() ? "success" : std::string(outcome.error().kind());
}

/// start_up, then `act` for each request.
inline FakeScript serving(std::function<Verdict(FakeWorker&, const ipc::ExecuteRequest&)> act) {
  return [act = std::move(act)](FakeWorker& worker) {
    (void)worker.start_up();
    const auto request = worker.next_execute();
    return request.has_value() ? act(worker, *request) : Verdict{.kind = VerdictKind::Exited};
  };
}

}  // namespace symbiont::testing

#endif  // SYMBIONT_RUNNERS_LOCAL_GGUF_RUNNER_FOR_TEST_H_
