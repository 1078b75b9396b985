#ifndef SYMBIONT_CMD_SYMBIONT_MODEL_FILE_H_
#define SYMBIONT_CMD_SYMBIONT_MODEL_FILE_H_

#include <expected>
#include <string>

#include "cmd/symbiont/exit_codes.h"
#include "gguf/header.h"

namespace symbiont::cli {

/// The header of the GGUF file at `path`; nothing else of it is read.
[[nodiscard]] std::expected<gguf::Header, Failure> read_model_header(const std::string& path);

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_MODEL_FILE_H_
