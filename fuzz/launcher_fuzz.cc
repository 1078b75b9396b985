// What goes between the library, its launcher and a worker's lockdown: whatever can be read means
// the same after it has been written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sandbox/lockdown_spec.h"
#include "sandbox/protocol.h"

namespace {

using namespace symbiont::sandbox;  // NOLINT(google-build-using-namespace): one program, one
                                    // subject

void require(bool truth) {
  if (!truth) std::abort();
}

/// encode() writes every field of a message, so equal packets are equal messages.
template <typename Decode>
void check(Decode decode, const std::string& packet) {
  const auto message = decode(packet);
  if (!message.has_value()) {
    require(message.error().code() == symbiont::ErrorCode::DataCorrupt);
    require(!message.error().message().empty());
    return;
  }
  const std::string written = encode(*message);
  const auto again = decode(written);
  require(again.has_value() && encode(*again) == written);
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name libFuzzer looks for
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string packet(data, data + size);
  check(decode_request, packet);
  check(decode_reply, packet);
  if (const auto spec = decode_lockdown_spec(packet); spec.has_value()) {
    const auto again = decode_lockdown_spec(encode(*spec));
    require(again.has_value() && *again == *spec);
  }
  return 0;
}
