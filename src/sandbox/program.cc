// Where our own programs stand.

#include <unistd.h>

#include <cstdlib>

#include "base/file.h"
#include "sandbox/sandbox.h"

#ifndef SYMBIONT_INSTALL_BINDIR
#define SYMBIONT_INSTALL_BINDIR "/usr/local/bin"
#endif

namespace symbiont::sandbox {

Result<std::filesystem::path> find_program(std::string_view name) {
  std::vector<std::filesystem::path> places;
  if (const auto own = executable_directory()) places.push_back(*own);
  // NOLINTNEXTLINE(concurrency-mt-unsafe): read only, and this program never sets it
  if (const char* directory = std::getenv("SYMBIONT_BIN_DIR")) places.emplace_back(directory);
  places.emplace_back(SYMBIONT_INSTALL_BINDIR);
  std::string looked;
  for (const auto& place : places) {
    auto candidate = place / name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    looked += " '" + candidate.string() + "'";
  }
  return fail(ErrorCode::NotFound, "program '" + std::string(name) + "' not found; looked for" +
                                       looked + " (set SYMBIONT_BIN_DIR to its directory)");
}

}  // namespace symbiont::sandbox
