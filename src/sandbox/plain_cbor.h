#ifndef SYMBIONT_SANDBOX_PLAIN_CBOR_H_
#define SYMBIONT_SANDBOX_PLAIN_CBOR_H_

#include <cstddef>
#include <string_view>

namespace symbiont::sandbox {

/// Arrays and maps that a packet may nest; ours need five.
inline constexpr std::size_t kMaxCborDepth = 7;

/// Whether `packet` is one CBOR item without the parts that we never write: deep nesting, tags,
/// lengths that are not said, integers below -2^63. The parser recurses for each level and for each
/// piece of a string, and misreads such integers, so this is asked first.
[[nodiscard]] bool is_plain_cbor(std::string_view packet);

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_PLAIN_CBOR_H_
