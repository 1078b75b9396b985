#ifndef SYMBIONT_CONFIG_TOML_H_
#define SYMBIONT_CONFIG_TOML_H_

// toml++ without exceptions. The library of the distribution is built with them, so the parser is
// compiled into toml.cc instead, and pkg-config's choices are undone here.

// NOLINTBEGIN(readability-identifier-naming): names of toml++
#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#define TOML_HEADER_ONLY 0
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 32  // of inline tables and arrays; the parser recurses
// NOLINTEND(readability-identifier-naming)

#include <toml++/toml.h>

#endif  // SYMBIONT_CONFIG_TOML_H_
