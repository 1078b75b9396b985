#include "worker/llama_cells.h"

#include <dlfcn.h>
#include <llama.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

#include <ggml-backend.h>

#include "worker/llama_embedding.h"
#include "worker/llama_metadata.h"

namespace symbiont::worker {
namespace {

// What the engine takes beside weights and cells: the compute buffers of a batch, its own code.
constexpr std::uint64_t kEngineBytes = 160ULL << 20U;
constexpr std::uint64_t kCellGranule = 256;        // llama.cpp rounds a context up to it
constexpr std::uint64_t kMostHeadWidth = 1 << 16;  // what a file says may be anything

std::uint64_t at_least_one(std::int32_t count) {
  return static_cast<std::uint64_t>(std::max(count, 1));
}

/// Values of one head's keys ("attention.key_length") or values; `usual` where the model does not
/// say.
std::uint64_t head_width(const llama_model* model, const std::string& key, std::uint64_t usual) {
  const std::string text = model_metadata(model, key);
  std::uint64_t width = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), width);
  return parsed.ec == std::errc() && width > 0 ? std::min(width, kMostHeadWidth) : usual;
}

/// Bytes of one cell with 16-bit keys and values.
std::uint64_t cell_bytes(const llama_model* model) {
  const std::uint64_t usual =
      at_least_one(llama_model_n_embd(model)) / at_least_one(llama_model_n_head(model));
  const std::uint64_t widths = head_width(model, "attention.key_length", usual) +
                               head_width(model, "attention.value_length", usual);
  return std::max<std::uint64_t>(1, sizeof(std::uint16_t) * widths *
                                        at_least_one(llama_model_n_layer(model)) *
                                        at_least_one(llama_model_n_head_kv(model)));
}

/// Makes whole pages of `bytes` at `base` read as zeros by giving them back; false: it cannot be.
bool give_back(char* base, std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t head = (page - reinterpret_cast<std::uintptr_t>(base) % page) % page;
  if (bytes < head + page) return false;
  const std::size_t whole = (bytes - head) / page * page;
  if (::madvise(base + head, whole, MADV_DONTNEED) != 0) return false;
  std::memset(base, 0, head);
  std::memset(base + head + whole, 0, bytes - head - whole);
  return true;
}

}  // namespace

std::uint32_t choose_cells(const llama_model* model,
                           const ipc::LoadRequest& load,
                           std::uint32_t context) {
  const std::uint64_t wanted = std::uint64_t{context} * load.max_sequences;
  if (load.memory_bytes == 0) return static_cast<std::uint32_t>(wanted);
  const std::uint64_t rows = load.embeddings ? embedding_bytes(model) : 0;
  const std::uint64_t taken = llama_model_size(model) + kEngineBytes + rows;
  const std::uint64_t room = load.memory_bytes > taken ? load.memory_bytes - taken : 0;
  const std::uint64_t cells = room / cell_bytes(model) / kCellGranule * kCellGranule;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(cells, context, wanted));
}

}  // namespace symbiont::worker

// In the place of libggml's, which libllama calls to clear all cells: writing zeros would fault in
// gigabytes that may never be used. Memory of plain CPU buffers comes from malloc, private and
// anonymous, so that pages given back read as zeros.
extern "C" __attribute__((visibility("default"))) void ggml_backend_buffer_clear(
    ggml_backend_buffer_t buffer, std::uint8_t value) {
  if (value == 0 && ggml_backend_buffer_get_type(buffer) == ggml_backend_cpu_buffer_type()) {
    auto* base = static_cast<char*>(ggml_backend_buffer_get_base(buffer));
    if (symbiont::worker::give_back(base, ggml_backend_buffer_get_size(buffer))) return;
  }
  using Clear = decltype(&ggml_backend_buffer_clear);
  static const auto kLibggmlClear =
      reinterpret_cast<Clear>(::dlsym(RTLD_NEXT, "ggml_backend_buffer_clear"));
  kLibggmlClear(buffer, value);
}
