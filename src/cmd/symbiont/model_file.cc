#include "cmd/symbiont/model_file.h"

#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/strings.h"

namespace symbiont::cli {
namespace {

Failure file_failure(const Error& error, std::string_view file) {
  const bool absent = error.code() == ErrorCode::NotFound;
  return {ExitCode::ModelNotFound, absent ? "ModelFileNotFound" : "ModelInvalid",
          error.message().find(file) == std::string::npos
              ? fmt::format("{}: {}", symbiont::quoted(file), error.message())
              : error.message(),
          absent ? "check the path" : "this is no GGUF model, or it is damaged: download it again"};
}

}  // namespace

std::expected<gguf::Header, Failure> read_model_header(const std::string& path) {
  const auto fd = open_regular_file(path);
  if (!fd.has_value()) return std::unexpected(file_failure(fd.error(), path));
  auto header = gguf::read_header(fd->get());
  if (!header.has_value()) return std::unexpected(file_failure(header.error(), path));
  return *std::move(header);
}

}  // namespace symbiont::cli
