#ifndef SYMBIONT_CMD_SYMBIONT_SANDBOX_REPORT_H_
#define SYMBIONT_CMD_SYMBIONT_SANDBOX_REPORT_H_

#include <expected>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cmd/symbiont/exit_codes.h"

namespace symbiont::cli {

/// The file of --report: complete or absent, readable by its owner alone. Its folder is opened
/// before the program runs, so that the program cannot lead the report elsewhere.
class ReportFile {
 public:
  /// A failure names the path: no such folder, or something other than a regular file in its place.
  [[nodiscard]] static std::expected<ReportFile, Failure> open(const std::string& path);

  /// Replaces what stands there by `text`.
  [[nodiscard]] Status write(std::string_view text) const;

 private:
  ReportFile(std::string path, std::string name, UniqueFd folder);

  std::string path_;
  std::string name_;
  UniqueFd folder_;
};

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_SANDBOX_REPORT_H_
