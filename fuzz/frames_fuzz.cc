// Frames as a hostile worker or a hostile runner may send them: decode() and every reader behind
// it.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "ipc/channel.h"
#include "ipc/messages.h"

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer looks for
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::byte> bytes(size);  // aligned, and exactly as long as the input
  if (size > 0) std::memcpy(bytes.data(), data, size);
  const auto frame = symbiont::ipc::decode(bytes);
  if (!frame.has_value()) return 0;
  using namespace symbiont::ipc;  // NOLINT(google-build-using-namespace): a dozen readers
  std::size_t sink = 0;
  if (const auto* load = (*frame)->body_as_Load()) sink += read_load(*load).has_value() ? 1U : 0U;
  if (const auto* execute = (*frame)->body_as_Execute()) {
    sink += read_execute(*execute).has_value() ? 1U : 0U;
  }
  if (const auto* ready = (*frame)->body_as_Ready()) sink += read_ready(*ready).engine.size();
  if (const auto* token = (*frame)->body_as_Token()) sink += read_token_text(*token).size();
  if (const auto* embedding = (*frame)->body_as_Embedding())
    sink += embedding->values() == nullptr ? 0U : embedding->values()->size();
  if (const auto* done = (*frame)->body_as_Done()) sink += read_done(*done).prompt_tokens;
  if (const auto* failed = (*frame)->body_as_Failed()) sink += read_failed(*failed).message.size();
  // The sum is used, so that no reader can be optimised away.
  return sink == SIZE_MAX ? 1 : 0;
}
