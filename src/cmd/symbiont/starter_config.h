#ifndef SYMBIONT_CMD_SYMBIONT_STARTER_CONFIG_H_
#define SYMBIONT_CMD_SYMBIONT_STARTER_CONFIG_H_

// The text that `symbiont init` writes. What a model file says about itself reaches it escaped.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/header.h"

namespace symbiont::cli {

/// What the starter configuration says about one model.
struct StarterModel {
  std::string id;    ///< the file's name without .gguf, fit for a URL
  std::string name;  ///< as the file calls itself, else `id`
  std::filesystem::path path;
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> context_tokens;
  std::vector<std::string_view> capabilities;
  std::uint64_t memory_mb = 0;  ///< the limit of its worker
  unsigned cores = 1;
};

/// `path` is absolute; `cores` are the host's.
[[nodiscard]] StarterModel describe_for_starter(const gguf::Header& header,
                                                const std::filesystem::path& path,
                                                unsigned cores);

/// The whole file, commented.
[[nodiscard]] std::string starter_config(const StarterModel& model);

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_STARTER_CONFIG_H_
