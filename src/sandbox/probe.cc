// What this host could enforce, asked of a launcher that starts nothing.

#include "sandbox/launcher_connection.h"
#include "sandbox/sandbox.h"

namespace symbiont::sandbox {

Result<ControlReport> probe_host(const Policy& policy) {
  SYMBIONT_TRY(const auto program, find_program("symbiont-launcher"));
  SYMBIONT_TRY(const auto connection, LauncherConnection::start(program));
  return connection->probe(policy);
}

}  // namespace symbiont::sandbox
