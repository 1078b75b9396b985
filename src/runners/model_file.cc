#include "runners/model_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <openssl/evp.h>

#include "base/file.h"
#include "base/result.h"
#include "gguf/header.h"
#include "runners/utf8.h"

namespace symbiont {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kCopyBytes = std::size_t{1}
                                   << 20U;  // also how often the deadline is looked at
constexpr std::size_t kDigestHexDigits = 64;

std::unexpected<SlmRunnerError> io_error(std::string what, int sys_errno = errno) {
  return std::unexpected(SlmRunnerError(runner_error::IoError{std::move(what), sys_errno}));
}

std::unexpected<SlmRunnerError> model_invalid(const std::string& path, std::string reason) {
  return std::unexpected(SlmRunnerError(runner_error::ModelInvalid{path, std::move(reason)}));
}

std::expected<std::string, SlmRunnerError> normalized_digest(const std::string& digest) {
  std::string lower = digest;
  for (char& c : lower) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  }
  if (lower.size() != kDigestHexDigits ||
      lower.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return std::unexpected(SlmRunnerError(runner_error::InvalidInput{
        "sha256", fmt::format("'{}' is not 64 hex digits", printable(digest, 80))}));
  }
  return lower;
}

std::string to_hex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes)
    hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

struct DigestFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

/// Copies `from` (by offset, so that its position does not matter) to `to`; returns the SHA-256.
std::expected<std::string, SlmRunnerError> copy_and_hash(int from,
                                                         int to,
                                                         const std::string& path,
                                                         steady_clock::time_point deadline,
                                                         const std::stop_token& stop_token) {
  const std::unique_ptr<EVP_MD_CTX, DigestFree> context(EVP_MD_CTX_new());
  if (context == nullptr || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) {
    return io_error("SHA-256 is not available", 0);
  }
  const steady_clock::time_point start = steady_clock::now();
  std::vector<char> buffer(kCopyBytes);
  off_t offset = 0;
  while (true) {
    if (stop_token.stop_requested())
      return std::unexpected(SlmRunnerError(runner_error::Cancelled{}));
    if (steady_clock::now() >= deadline) {
      return std::unexpected(SlmRunnerError(runner_error::ExecutionTimeout{
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - start)}));
    }
    const ssize_t count = ::pread(from, buffer.data(), buffer.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return io_error(fmt::format("read '{}'", path));
    if (count == 0) break;
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(count));
    if (EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) != 1) {
      return io_error("SHA-256 failed", 0);
    }
    if (const Status written = write_all(to, bytes, "the sealed copy of the model");
        !written.has_value()) {
      return io_error(written.error().message(), 0);
    }
    offset += count;
  }
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  unsigned length = 0;
  if (EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(digest.data()), &length) !=
      1) {
    return io_error("SHA-256 failed", 0);
  }
  return to_hex(std::string_view(digest).substr(0, length));
}

}  // namespace

std::expected<ModelFile, SlmRunnerError> ModelFile::open(const std::filesystem::path& path,
                                                         const std::optional<std::string>& sha256) {
  std::string digest;
  if (sha256.has_value()) {
    SYMBIONT_TRY(digest, normalized_digest(*sha256));
  }
  // O_NONBLOCK: a FIFO must not hang us.
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file.is_valid()) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return std::unexpected(SlmRunnerError(runner_error::ModelFileNotFound{path.string()}));
    }
    return io_error(fmt::format("open model file '{}'", path.string()));
  }
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) return io_error(fmt::format("stat '{}'", path.string()));
  if (S_ISDIR(status.st_mode)) return model_invalid(path.string(), "it is a directory");
  if (!S_ISREG(status.st_mode)) return model_invalid(path.string(), "it is not a regular file");
  if (status.st_size == 0) return model_invalid(path.string(), "it is empty");
  if (const auto header = gguf::read_header(file.get()); !header.has_value()) {
    if (header.error().sys_errno() != 0) return io_error(header.error().message(), 0);
    return model_invalid(path.string(), header.error().message());
  }
  return ModelFile(std::move(file), path.string(), std::move(digest));
}

std::expected<int, SlmRunnerError> ModelFile::descriptor(steady_clock::time_point deadline,
                                                         const std::stop_token& stop_token) {
  if (sha256_.empty()) return file_.get();
  if (sealed_.is_valid()) return sealed_.get();
  UniqueFd copy(::memfd_create("symbiont-model", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!copy.is_valid()) return io_error("memfd_create for the model");
  SYMBIONT_TRY(const std::string found,
               copy_and_hash(file_.get(), copy.get(), path_, deadline, stop_token));
  if (found != sha256_) {
    return model_invalid(path_, fmt::format("its SHA-256 is {}, expected {}", found, sha256_));
  }
  if (::fcntl(copy.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) !=
      0) {
    return io_error("seal the copy of the model");
  }
  sealed_ = std::move(copy);
  return sealed_.get();
}

}  // namespace symbiont
