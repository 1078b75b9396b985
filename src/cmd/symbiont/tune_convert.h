#ifndef SYMBIONT_CMD_SYMBIONT_TUNE_CONVERT_H_
#define SYMBIONT_CMD_SYMBIONT_TUNE_CONVERT_H_

#include <expected>
#include <filesystem>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cmd/symbiont/exit_codes.h"
#include "gguf/header.h"

namespace symbiont::cli {

/// A type that `symbiont tune` can give the weights.
struct WeightType {
  std::string_view name;        ///< "Q8_0"
  double bytes_per_weight = 0;  ///< blocks of ggml's type: 34 bytes for 32 weights, ...
};
[[nodiscard]] std::span<const WeightType> weight_types();

/// A file on its way: stands as NAME.unfinished beside its later place, locked, and goes away with
/// the object unless it was published. What a killed process left there the next one takes over.
class UnfinishedFile {
 public:
  /// Usage failures name `place`.
  [[nodiscard]] static std::expected<UnfinishedFile, Failure> open(
      const std::filesystem::path& place);
  UnfinishedFile(UnfinishedFile&& other) noexcept = default;
  UnfinishedFile& operator=(UnfinishedFile&& other) noexcept = delete;
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;
  ~UnfinishedFile();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Puts it in its place, on the disk. Without `replace` a file that is there stays (EEXIST).
  [[nodiscard]] Status publish(bool replace);

 private:
  UnfinishedFile(UniqueFd file, std::filesystem::path place, std::filesystem::path path)
      : file_(std::move(file)), place_(std::move(place)), path_(std::move(path)) {}

  UniqueFd file_;
  std::filesystem::path place_;
  std::filesystem::path path_;
};

struct Conversion {
  std::filesystem::path model;  ///< absolute
  std::filesystem::path copy;   ///< an existing empty file, absolute
  const WeightType* type = nullptr;
  bool strict = true;  ///< refuse to start when a control cannot be enforced
};

/// Runs symbiont-tuner under a profile that shows it the model, the copy and its libraries, with
/// bounds on memory, time and the size of the copy. `on_progress`: 0 .. 1, may be null.
[[nodiscard]] std::expected<void, Failure> convert(
    const Conversion& conversion,
    const gguf::Header& header,
    const std::function<void(float fraction)>& on_progress,
    const std::stop_token& stop_token);

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_TUNE_CONVERT_H_
