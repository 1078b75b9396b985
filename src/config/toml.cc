#define TOML_IMPLEMENTATION  // NOLINT(readability-identifier-naming): a name of toml++
#include "config/toml.h"
