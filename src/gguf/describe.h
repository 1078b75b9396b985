#ifndef SYMBIONT_GGUF_DESCRIBE_H_
#define SYMBIONT_GGUF_DESCRIBE_H_

// What `symbiont inspect` prints. A model file is hostile until proven otherwise, so nothing in it
// reaches the output as a control character or as invalid UTF-8.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gguf/header.h"

namespace symbiont::gguf {

/// The context that the model was trained with, in tokens; nothing when the file does not say.
[[nodiscard]] std::optional<std::uint64_t> context_length(const Header& header);

/// "93.8 MiB".
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);

/// "f32 13 tensors (1.2 MiB), q4_1 30 tensors (70.5 MiB); 4.85 bits a weight", the largest share
/// first.
[[nodiscard]] std::string quantisation_summary(const Header& header);

/// Aligned text: a summary, the metadata, the tensors. Long values are cut with "...". Ends with a
/// newline.
[[nodiscard]] std::string describe_text(const Header& header, std::string_view file_name);

/// The same as one JSON object, ASCII only. Values are not cut beyond what the header keeps
/// (arrays: "count" and "first"; strings: "truncated" when longer than kMaxKeptStringBytes). Ends
/// with a newline.
[[nodiscard]] std::string describe_json(const Header& header, std::string_view file_name);

}  // namespace symbiont::gguf

#endif  // SYMBIONT_GGUF_DESCRIBE_H_
