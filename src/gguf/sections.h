#ifndef SYMBIONT_GGUF_SECTIONS_H_
#define SYMBIONT_GGUF_SECTIONS_H_

// The two lists inside a GGUF header, read by functions of their own. Private to src/gguf.

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "gguf/byte_cursor.h"
#include "gguf/header.h"

namespace symbiont::gguf {

/// Reads `count` metadata entries at the cursor. Keys are unique; well-known keys have their right
/// type.
[[nodiscard]] Result<std::vector<Metadata>> read_metadata(ByteCursor& cursor, std::uint64_t count);

/// Reads `count` tensor entries at the cursor; their places in the file are not looked at yet.
[[nodiscard]] Result<std::vector<Tensor>> read_tensors(ByteCursor& cursor, std::uint64_t count);

/// Checks that names are unique and that all data is aligned, inside the file and disjoint.
[[nodiscard]] Status check_tensor_places(const Header& header);

}  // namespace symbiont::gguf

#endif  // SYMBIONT_GGUF_SECTIONS_H_
