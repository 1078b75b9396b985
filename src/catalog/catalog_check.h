#ifndef SYMBIONT_CATALOG_CATALOG_CHECK_H_
#define SYMBIONT_CATALOG_CATALOG_CHECK_H_

#include <expected>

#include "symbiont/catalog_error.h"
#include "symbiont/slm.h"

namespace symbiont::catalog {

/// Whether `slm` holds together, also when it was built in code: enabled, unique non-empty ids,
/// existing profiles, limits above zero. The first thing wrong.
[[nodiscard]] std::expected<void, ModelCatalogError> check(const Slm& slm);

}  // namespace symbiont::catalog

#endif  // SYMBIONT_CATALOG_CATALOG_CHECK_H_
