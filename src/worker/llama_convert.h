#ifndef SYMBIONT_WORKER_LLAMA_CONVERT_H_
#define SYMBIONT_WORKER_LLAMA_CONVERT_H_

#include <string>
#include <string_view>

#include "base/result.h"

namespace symbiont::worker {

/// Writes a copy of the GGUF file `from` to `to`, which it replaces, with the weights in another
/// type: "Q8_0", "Q4_0" or "F16". Vectors stay as they are. Single tensors that do not fit the type
/// take the next one that does. Progress and warnings go to standard error, as llama.cpp words
/// them. The model may be hostile: call it in a confined process only.
[[nodiscard]] Status convert_weights(const std::string& from,
                                     const std::string& to,
                                     std::string_view type);

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_LLAMA_CONVERT_H_
