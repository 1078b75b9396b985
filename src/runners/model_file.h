#ifndef SYMBIONT_RUNNERS_MODEL_FILE_H_
#define SYMBIONT_RUNNERS_MODEL_FILE_H_

#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>

#include "symbiont/runner_error.h"

#include "base/unique_fd.h"

namespace symbiont {

/// A model file, opened once. Not thread-safe.
class ModelFile {
 public:
  /// Opens `path` and looks at its header, bounded. ModelFileNotFound, ModelInvalid (no regular
  /// file, empty, not GGUF) or IoError. `sha256`: 64 hex digits (else InvalidInput) of what seal()
  /// must find.
  [[nodiscard]] static std::expected<ModelFile, SlmRunnerError> open(
      const std::filesystem::path& path, const std::optional<std::string>& sha256);

  /// The descriptor to hand to a worker. When a digest is pinned: a sealed copy in memory, hashed
  /// while it was made, so that the bytes checked are the bytes loaded; made once. ModelInvalid
  /// names both digests; ExecutionTimeout and Cancelled end the copy.
  [[nodiscard]] std::expected<int, SlmRunnerError> descriptor(
      std::chrono::steady_clock::time_point deadline, const std::stop_token& stop_token);

  [[nodiscard]] const std::string& path() const { return path_; }
  /// Lower-case hex; empty until the digest was checked.
  [[nodiscard]] std::string checked_sha256() const { return sealed_.is_valid() ? sha256_ : ""; }

 private:
  ModelFile(UniqueFd file, std::string path, std::string sha256)
      : file_(std::move(file)), path_(std::move(path)), sha256_(std::move(sha256)) {}

  UniqueFd file_;
  UniqueFd sealed_;
  std::string path_;
  std::string sha256_;  // pinned; empty = none
};

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_MODEL_FILE_H_
