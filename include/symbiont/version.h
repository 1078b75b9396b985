#ifndef SYMBIONT_VERSION_H_
#define SYMBIONT_VERSION_H_

#include <string_view>

namespace symbiont {

/// Version of the library, as in CMake's project().
inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace symbiont

#endif  // SYMBIONT_VERSION_H_
