#ifndef SYMBIONT_TESTS_MODEL_MODEL_FIXTURE_H_
#define SYMBIONT_TESTS_MODEL_MODEL_FIXTURE_H_

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "symbiont/local_gguf_runner.h"

#include "tests/support/gguf_builder.h"

namespace symbiont::testing {

/// A directory with generated models, removed at the end.
class ModelFixture : public ::testing::Test {
 protected:
  ModelFixture() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "symbiont-model-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~ModelFixture() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    const auto path = directory_ / name;
    std::ofstream(path, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path;
  }
  [[nodiscard]] std::filesystem::path tiny() const { return write("tiny.gguf", tiny_model(1)); }

  static std::unique_ptr<LocalGgufRunner> runner_for(const std::filesystem::path& file,
                                                     const SandboxProfile& profile = {},
                                                     LocalGgufOptions options = {}) {
    auto runner = LocalGgufRunner::create(file, profile, {}, std::move(options));
    EXPECT_TRUE(runner.has_value()) << runner.error().message();
    return runner.has_value() ? std::move(*runner) : nullptr;
  }

  std::filesystem::path directory_;
};

/// The default model, where scripts/bootstrap puts it. Empty when it is not there.
inline std::filesystem::path default_model() {
  const char* cache =
      std::getenv("XDG_CACHE_HOME");       // NOLINT(concurrency-mt-unsafe): tests set nothing
  const char* home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe)
  std::filesystem::path base = cache != nullptr && *cache != '\0'
                                   ? cache
                                   : std::string(home != nullptr ? home : "") + "/.cache";
  base /= "symbiont/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  return std::filesystem::exists(base) ? base : std::filesystem::path();
}

}  // namespace symbiont::testing

#endif  // SYMBIONT_TESTS_MODEL_MODEL_FIXTURE_H_
