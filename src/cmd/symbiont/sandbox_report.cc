#include "cmd/symbiont/sandbox_report.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/strings.h"

namespace symbiont::cli {
namespace {

constexpr mode_t kOwnerOnly = 0600;

Failure report_failure(const std::string& path, std::string_view why) {
  return usage_failure(fmt::format("--report {}: {}", symbiont::quoted(path), why),
                       "name a file in a folder that exists and can be written");
}

/// A name nobody can have put something under; O_EXCL makes sure.
Result<std::string> temporary_name(const std::string& name) {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof(random), 0) != static_cast<ssize_t>(sizeof(random)))
    return fail(errno_error("getrandom"));
  return fmt::format(".{}.{:016x}", name, random);
}

}  // namespace

ReportFile::ReportFile(std::string path, std::string name, UniqueFd folder)
    : path_(std::move(path)), name_(std::move(name)), folder_(std::move(folder)) {}

std::expected<ReportFile, Failure> ReportFile::open(const std::string& path) {
  const std::filesystem::path parts(path);
  std::string name = parts.filename();
  if (name.empty() || name == "." || name == "..")
    return std::unexpected(report_failure(path, "is no name of a file"));
  const std::string parent = parts.has_parent_path() ? parts.parent_path().string() : ".";
  UniqueFd folder(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_valid()) return std::unexpected(report_failure(path, errno_text(errno)));
  struct stat there = {};
  if (::fstatat(folder.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
      !S_ISREG(there.st_mode)) {
    return std::unexpected(report_failure(path, "is there and no regular file"));
  }
  if (::faccessat(folder.get(), ".", W_OK | X_OK, AT_EACCESS) != 0)
    return std::unexpected(report_failure(path, errno_text(errno)));
  return ReportFile(path, std::move(name), std::move(folder));
}

Status ReportFile::write(std::string_view text) const {
  SYMBIONT_TRY(const std::string temporary, temporary_name(name_));
  constexpr int kNew = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const UniqueFd file(::openat(folder_.get(), temporary.c_str(), kNew, kOwnerOnly));
  if (!file.is_valid()) return fail(errno_error(path_));
  Status status = write_all(file.get(), text, path_);
  if (status.has_value() &&
      ::renameat(folder_.get(), temporary.c_str(), folder_.get(), name_.c_str()) != 0) {
    status = fail(errno_error(path_));
  }
  // NOLINTNEXTLINE(cert-err33-c): the error to tell is the one before
  if (!status.has_value()) (void)::unlinkat(folder_.get(), temporary.c_str(), 0);
  return status;
}

}  // namespace symbiont::cli
