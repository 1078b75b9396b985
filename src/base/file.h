#ifndef SYMBIONT_BASE_FILE_H_
#define SYMBIONT_BASE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace symbiont {

/// Opens `path` for reading (O_CLOEXEC). The error names the path.
[[nodiscard]] Result<UniqueFd> open_for_read(const std::filesystem::path& path);

/// As open_for_read, and refuses anything that is not a regular file. Opens with O_NONBLOCK so that
/// a FIFO cannot hang it.
[[nodiscard]] Result<UniqueFd> open_regular_file(const std::filesystem::path& path);

/// Reads the whole of `path`; more than `max_bytes` is ResourceExhausted.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path,
                                            std::size_t max_bytes);

/// Reads until end of file from `fd`; more than `max_bytes` is ResourceExhausted. `what` names it
/// in errors.
[[nodiscard]] Result<std::string> read_to_end(int fd, std::size_t max_bytes, std::string_view what);

/// Writes all of `bytes`, retrying short writes and EINTR. `what` names the target in errors.
[[nodiscard]] Status write_all(int fd, std::string_view bytes, std::string_view what);

enum class IfThere : std::uint8_t { Replace, Refuse };

/// Makes `path` a file that holds `text`, as a whole or not at all, and on the disk: writes beside
/// it and renames. `mode` is subject to the umask. With Refuse a `path` that is there stays as it
/// is, and the error's errno is EEXIST.
[[nodiscard]] Status write_file(const std::filesystem::path& path,
                                std::string_view text,
                                unsigned mode,
                                IfThere if_there);

/// Reads exactly `into.size()` bytes at `offset`; a shorter file is DataCorrupt.
[[nodiscard]] Status read_exactly_at(int fd, std::span<std::byte> into, std::uint64_t offset);

/// Size of a regular file in bytes.
[[nodiscard]] Result<std::uint64_t> file_size(int fd, std::string_view what);

/// Directory of the running executable, where its sibling programs stand.
[[nodiscard]] Result<std::filesystem::path> executable_directory();

}  // namespace symbiont

#endif  // SYMBIONT_BASE_FILE_H_
