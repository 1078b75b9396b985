#include "cmd/symbiont/tune_convert.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "symbiont/sandbox.h"

#include "base/strings.h"
#include "cmd/symbiont/sandbox_options.h"
#include "cmd/symbiont/terminal.h"
#include "sandbox/sandbox.h"

namespace symbiont::cli {
namespace {

using std::chrono::milliseconds;

constexpr std::array<WeightType, 3> kTypes = {{
    {.name = "Q8_0", .bytes_per_weight = 34.0 / 32},  // block_q8_0 of ggml-common.h
    {.name = "Q4_0", .bytes_per_weight = 18.0 / 32},  // block_q4_0
    {.name = "F16", .bytes_per_weight = 2},
}};
constexpr std::uint64_t kSlackBytes = std::uint64_t{1} << 20U;  ///< added metadata, alignment
constexpr std::uint64_t kMemoryMb = 1024;  ///< rows of one tensor, their copy, cached pages
constexpr std::uint64_t kMaxSeconds = 4 * 3600;
constexpr std::uint64_t kUnlimitedMbps = 10'000'000;  ///< the configuration's own upper bound
constexpr int kPriority = 10;
constexpr std::size_t kKeptBytes = 4096;  ///< of what it says at last
constexpr milliseconds kLookInterval{100};

/// Bytes that the copy of a model with this header has at most.
std::uint64_t max_copy_bytes(const gguf::Header& header, const WeightType& type) {
  double bytes = static_cast<double>(header.data_offset) + static_cast<double>(kSlackBytes);
  for (const gguf::Tensor& tensor : header.tensors) {
    const double converted = static_cast<double>(tensor.elements) * type.bytes_per_weight;
    bytes += std::max(converted, static_cast<double>(tensor.bytes)) + header.alignment;
  }
  return static_cast<std::uint64_t>(std::ceil(bytes));
}

/// "[  12/ 272] blk.1..." as llama.cpp reports it: 12/272; else nothing.
std::optional<float> progress_of(std::string_view line) {
  const auto number = [&line](char end) -> std::optional<unsigned> {
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    unsigned value = 0;
    const auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error != std::errc{} || rest == line.data() + line.size() || *rest != end) return {};
    line.remove_prefix(static_cast<std::size_t>(rest - line.data()) + 1);
    return value;
  };
  if (!line.starts_with('[')) return {};
  line.remove_prefix(1);
  const auto done = number('/');
  const auto all = done.has_value() ? number(']') : std::nullopt;
  if (!all.has_value() || *all == 0 || *done > *all) return {};
  return static_cast<float>(*done) / static_cast<float>(*all);
}

SandboxProfile profile_of(const Conversion& conversion, const gguf::Header& header) {
  SandboxProfile profile;
  profile.name = "tune";
  profile.resources.max_memory_mb = kMemoryMb;
  profile.resources.max_cpu_cores = std::max(1U, std::thread::hardware_concurrency());
  profile.resources.max_io_bandwidth_mbps = kUnlimitedMbps;
  profile.filesystem.read_paths = {conversion.model};
  std::error_code none;
  if (std::filesystem::is_directory(SYMBIONT_ENGINE_LIBRARIES, none))
    profile.filesystem.read_paths.emplace_back(SYMBIONT_ENGINE_LIBRARIES);
  profile.filesystem.write_paths = {conversion.copy};
  profile.filesystem.max_file_size_mb = (max_copy_bytes(header, *conversion.type) >> 20U) + 1;
  profile.process_limits.max_execution_time_seconds = kMaxSeconds;
  profile.process_limits.process_priority = kPriority;
  return profile;
}

/// What the confined process says: its progress, and its last words. Any bytes.
class Words {
 public:
  explicit Words(const std::function<void(float fraction)>& on_progress)
      : on_progress_(on_progress) {}

  void add(std::string_view bytes) {
    for (const char byte : bytes) {
      if (byte == '\n') {
        end_line();
      } else if (line_.size() < kKeptBytes) {
        line_ += byte;
      }
    }
  }
  /// The last line that tells of a failure; else the last one.
  [[nodiscard]] std::string last() {
    end_line();
    return printable(failure_.empty() ? last_ : failure_);
  }

 private:
  void end_line() {
    if (line_.empty()) return;
    if (const auto fraction = progress_of(line_); fraction.has_value() && on_progress_)
      on_progress_(*fraction);
    if (line_.find("failed") != std::string::npos || line_.find("rror") != std::string::npos)
      failure_ = line_;
    last_ = std::exchange(line_, {});
  }

  const std::function<void(float fraction)>& on_progress_;
  std::string line_;
  std::string last_;
  std::string failure_;
};

/// Reads until the other side is closed, a stop is requested, or the program has ended.
void listen(int fd, Words& words, SandboxedProgram& program, const std::stop_token& stop_token) {
  std::array<char, kKeptBytes> buffer{};
  while (!stop_token.stop_requested()) {
    pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(kLookInterval.count()));
    if (ready < 0 && errno != EINTR) return;
    if (ready <= 0) {
      if (program.wait_for(milliseconds(0)).has_value()) return;
      continue;
    }
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count == 0 || (count < 0 && errno != EINTR)) return;
    if (count > 0) words.add({buffer.data(), static_cast<std::size_t>(count)});
  }
}

SandboxReport wait_for_end(SandboxedProgram& program, const std::stop_token& stop_token) {
  while (true) {
    if (stop_token.stop_requested()) program.kill();
    if (auto report = program.wait_for(kLookInterval)) return *std::move(report);
  }
}

/// A failure of the kind that the verdict tells of, without words yet.
Failure failure_of(const Verdict& verdict) {
  switch (verdict.kind) {
    case VerdictKind::Exited:
    case VerdictKind::Signaled:
      return {ExitCode::ModelNotFound,
              "ModelInvalid",
              {},
              "'symbiont inspect' shows what the file says about itself"};
    case VerdictKind::SyscallDenied:
    case VerdictKind::FsDenied:
    case VerdictKind::NetDenied:
      return {ExitCode::SandboxViolation,
              "SandboxViolation",
              {},
              "the file made the converter ask for what it has no business with: do not use it"};
    case VerdictKind::SetupFailed:
      return {
          ExitCode::Other, "SetupFailed", {}, "'symbiont doctor' shows what this host can hold"};
    default:
      return {ExitCode::LimitHit,
              "ResourceLimitExceeded",
              {},
              "'symbiont inspect' shows what the file says about itself"};
  }
}

std::expected<void, Failure> conclude(const Conversion& conversion,
                                      const Verdict& verdict,
                                      const std::string& words) {
  if (verdict.kind == VerdictKind::Exited && verdict.exit_code == 0) return {};
  Failure failure = failure_of(verdict);
  failure.message =
      fmt::format("{} was not converted: {}{}{}", symbiont::quoted(conversion.model.string()),
                  printable(describe(verdict)), words.empty() ? "" : "; ", words);
  return std::unexpected(std::move(failure));
}

std::unexpected<Failure> cannot_write(const std::filesystem::path& place, std::string_view why) {
  return std::unexpected(usage_failure(fmt::format("{}: {}", symbiont::quoted(place.string()), why),
                                       "name a file in a folder that exists and can be written"));
}

}  // namespace

std::span<const WeightType> weight_types() {
  return kTypes;
}

std::expected<UnfinishedFile, Failure> UnfinishedFile::open(const std::filesystem::path& place) {
  std::filesystem::path path = place;
  path += ".unfinished";
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!file.is_valid()) return cannot_write(path, errno_text(errno));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0)
    return cannot_write(path, "another 'symbiont tune' writes it");
  struct stat ours = {};
  struct stat there = {};
  // The one before may have ended, and taken the name away, between open and lock.
  if (::fstat(file.get(), &ours) != 0 || ::lstat(path.c_str(), &there) != 0 ||
      ours.st_ino != there.st_ino || !S_ISREG(ours.st_mode)) {
    return cannot_write(path, "another 'symbiont tune' wrote it just now; try again");
  }
  // In a folder that others may write: neither their file nor another name of one of ours.
  if (ours.st_uid != ::geteuid() || ours.st_nlink != 1)
    return cannot_write(path, "is there and not ours alone; remove it");
  if (::ftruncate(file.get(), 0) != 0) return cannot_write(path, errno_text(errno));
  return UnfinishedFile(std::move(file), place, std::move(path));
}

UnfinishedFile::~UnfinishedFile() {
  if (file_.is_valid()) (void)::unlink(path_.c_str());
}

Status UnfinishedFile::publish(bool replace) {
  if (::fsync(file_.get()) != 0) return fail(errno_error("fsync '" + path_.string() + "'"));
  const unsigned flags = replace ? 0 : RENAME_NOREPLACE;
  if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, place_.c_str(), flags) != 0)
    return fail(errno_error("rename to '" + place_.string() + "'"));
  file_.reset();
  return {};
}

std::expected<void, Failure> convert(const Conversion& conversion,
                                     const gguf::Header& header,
                                     const std::function<void(float fraction)>& on_progress,
                                     const std::stop_token& stop_token) {
  const auto program = sandbox::find_program("symbiont-tuner");
  if (!program.has_value()) return std::unexpected(to_failure(program.error()));
  std::array<int, 2> ends = {-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return std::unexpected(to_failure(errno_error("pipe2")));
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const SandboxCommand command{
      .argv = {program->string(), conversion.model.string(), conversion.copy.string(),
               std::string(conversion.type->name)},
      .environment = {},
      .working_directory = "/"};
  auto started =
      SandboxedProgram::start(SandboxHost::create(), profile_of(conversion, header), command,
                              {.stderr_fd = write_end.get(), .strict = conversion.strict});
  write_end.reset();
  if (!started.has_value()) return std::unexpected(to_failure(started.error()));
  Words words(on_progress);
  listen(read_end.get(), words, **started, stop_token);
  const SandboxReport report = wait_for_end(**started, stop_token);
  if (stop_token.stop_requested()) {
    return std::unexpected(Failure{ExitCode::Other, "Cancelled", "cancelled", {}});
  }
  return conclude(conversion, report.verdict, words.last());
}

}  // namespace symbiont::cli
