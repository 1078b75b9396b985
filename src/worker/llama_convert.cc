#include "worker/llama_convert.h"

#include <llama.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace symbiont::worker {
namespace {

constexpr std::array<std::pair<std::string_view, llama_ftype>, 3> kTypes = {{
    {"Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
    {"Q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},
    {"F16", LLAMA_FTYPE_MOSTLY_F16},
}};
constexpr std::size_t kRowBytes = std::size_t{256} << 20U;  ///< of one tensor in memory at a time

}  // namespace

Status convert_weights(const std::string& from, const std::string& to, std::string_view type) {
  const auto* found =
      std::ranges::find(kTypes, type, &std::pair<std::string_view, llama_ftype>::first);
  if (found == kTypes.end()) {
    return fail(ErrorCode::InvalidArgument, "unknown type of weights '" + std::string(type) + "'");
  }
  llama_backend_init();
  llama_model_quantize_params params = llama_model_quantize_default_params();
  params.ftype = found->second;
  params.allow_requantize = true;
  params.max_buf_size = kRowBytes;
  if (llama_model_quantize(from.c_str(), to.c_str(), &params) != 0)
    return fail(ErrorCode::DataCorrupt, "the model could not be converted");
  return {};
}

}  // namespace symbiont::worker
