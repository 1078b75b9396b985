#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>

namespace symbiont {
namespace {

Result<UniqueFd> open_with(const std::filesystem::path& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
  if (!fd.is_valid()) return fail(errno_error("open '" + path.string() + "'"));
  return fd;
}

Status write_new(const std::filesystem::path& path, std::string_view text, unsigned mode) {
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  const UniqueFd fd(::open(path.c_str(), flags, mode));
  if (!fd.is_valid()) return fail(errno_error("create '" + path.string() + "'"));
  SYMBIONT_TRY_STATUS(write_all(fd.get(), text, "'" + path.string() + "'"));
  if (::fsync(fd.get()) != 0) return fail(errno_error("sync '" + path.string() + "'"));
  return {};
}

}  // namespace

Result<UniqueFd> open_for_read(const std::filesystem::path& path) {
  return open_with(path, O_RDONLY);
}

Result<UniqueFd> open_regular_file(const std::filesystem::path& path) {
  SYMBIONT_TRY(UniqueFd fd, open_with(path, O_RDONLY | O_NONBLOCK));
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail(errno_error("stat '" + path.string() + "'"));
  if (S_ISDIR(info.st_mode))
    return fail(ErrorCode::InvalidArgument, "'" + path.string() + "' is a directory");
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorCode::InvalidArgument, "'" + path.string() + "' is not a regular file");
  }
  return fd;
}

Result<std::string> read_to_end(int fd, std::size_t max_bytes, std::string_view what) {
  std::string text;
  std::array<char, 16384> buffer{};
  while (true) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(errno_error("read " + std::string(what)));
    if (count == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() > max_bytes) {
      return fail(ErrorCode::ResourceExhausted,
                  std::string(what) + " is larger than " + std::to_string(max_bytes) + " bytes");
    }
  }
}

Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  SYMBIONT_TRY(const UniqueFd fd, open_for_read(path));
  return read_to_end(fd.get(), max_bytes, "'" + path.string() + "'");
}

Status write_all(int fd, std::string_view bytes, std::string_view what) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(errno_error("write " + std::string(what)));
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

namespace {

/// Gives a finished file its name. By a link where nothing may be there: unlike a rename without
/// replacement, every file system that has links can do that.
Status put_in_place(const std::string& unfinished,
                    const std::filesystem::path& path,
                    IfThere if_there) {
  struct stat there{};
  if (if_there == IfThere::Replace && ::lstat(path.c_str(), &there) == 0 && !S_ISREG(there.st_mode))
    return fail(ErrorCode::InvalidArgument,
                "'" + path.string() + "' is no regular file; it is left alone");
  const bool refuse = if_there == IfThere::Refuse;
  const int result = refuse ? ::link(unfinished.c_str(), path.c_str())
                            : ::rename(unfinished.c_str(), path.c_str());
  if (result != 0) return fail(errno_error("write '" + path.string() + "'"));
  if (refuse) (void)::unlink(unfinished.c_str());  // its other name stays
  return {};
}

}  // namespace

Status write_file(const std::filesystem::path& path,
                  std::string_view text,
                  unsigned mode,
                  IfThere if_there) {
  static std::atomic<unsigned> count{0};
  const std::string unfinished =
      path.string() + ".new." + std::to_string(::getpid()) + "." + std::to_string(++count);
  Status done = write_new(unfinished, text, mode);
  const bool ours = done.has_value() || done.error().sys_errno() != EEXIST;
  if (done.has_value()) done = put_in_place(unfinished, path, if_there);
  // The error that the caller gets is the one that matters; this one leaves a file behind at worst.
  if (!done.has_value() && ours) (void)::unlink(unfinished.c_str());
  return done;
}

Status read_exactly_at(int fd, std::span<std::byte> into, std::uint64_t offset) {
  while (!into.empty()) {
    const ssize_t count = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(errno_error("read at offset " + std::to_string(offset)));
    if (count == 0) {
      return fail(ErrorCode::DataCorrupt, "file ends at offset " + std::to_string(offset) + ", " +
                                              std::to_string(into.size()) + " bytes too early");
    }
    into = into.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

Result<std::uint64_t> file_size(int fd, std::string_view what) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return fail(errno_error("stat " + std::string(what)));
  return static_cast<std::uint64_t>(info.st_size);
}

Result<std::filesystem::path> executable_directory() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return fail(errno_error("read link '/proc/self/exe'", error.value()));
  return path.parent_path();
}

}  // namespace symbiont
