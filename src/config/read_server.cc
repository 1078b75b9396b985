#include <array>
#include <utility>

#include <fmt/core.h>

#include "base/strings.h"
#include "config/address.h"
#include "config/limits.h"
#include "config/readers.h"

namespace symbiont::config {
namespace {

void read_listen(TableReader& server, std::optional<ListenAddress>& into) {
  std::string text;
  if (!server.get("listen", text, kMaxNameBytes + 16)) return;
  auto address = parse_listen_address(text);
  if (address.has_value()) {
    into = *std::move(address);
  } else {
    server.error(*server.table().get("listen"), "listen", address.error().message());
  }
}

void read_unix_socket(TableReader& server, std::filesystem::path& into) {
  if (!server.read_file_path("unix_socket", into)) return;
  if (into.native().size() <= kMaxSocketPathBytes) return;
  server.error(
      *server.table().get("unix_socket"), "unix_socket",
      fmt::format("{} is {} bytes long; the system allows {}", symbiont::quoted(into.native()),
                  into.native().size(), kMaxSocketPathBytes));
}

void read_tls(TableReader& server, std::optional<TlsSettings>& into) {
  const toml::table* table = server.find_table("tls");
  if (table == nullptr) return;
  TableReader reader(server.context(), *table, server.path_of("tls"));
  TlsSettings tls;
  for (auto [key, path] : {std::pair("certificate_file", &tls.certificate_file),
                           std::pair("private_key_file", &tls.private_key_file)}) {
    if (reader.require(key) != nullptr) reader.read_file_path(key, *path);
  }
  reader.finish();
  into = std::move(tls);
}

void read_limits(TableReader& server, ServerLimits& into) {
  const toml::table* table = server.find_table("limits");
  if (table == nullptr) return;
  TableReader reader(server.context(), *table, server.path_of("limits"));
  reader.get("max_body_bytes", into.max_body_bytes, {kMinBodyBytes, kMaxBodyBytes, "bytes"});
  std::uint64_t connections = into.max_connections;
  reader.get("max_connections", connections, {1, kMaxConnections});
  into.max_connections = static_cast<std::uint32_t>(connections);
  std::uint64_t seconds = 0;
  if (reader.get("header_timeout_seconds", seconds, {1, kMaxHeaderTimeoutSeconds, "seconds"})) {
    into.header_timeout = std::chrono::seconds(seconds);
  }
  reader.finish();
}

}  // namespace

void read_server(TableReader& root, ServerSettings& into) {
  const toml::table* table = root.find_table("server");
  if (table == nullptr) return;
  TableReader reader(root.context(), *table, root.path_of("server"));
  read_listen(reader, into.listen);
  read_unix_socket(reader, into.unix_socket);
  reader.read_file_path("keys_file", into.keys_file);
  read_tls(reader, into.tls);
  read_limits(reader, into.limits);
  reader.finish();
}

void read_audit(TableReader& root, AuditSettings& into) {
  constexpr std::array<std::string_view, 3> kSync = {"always", "interval", "never"};
  const toml::table* table = root.find_table("audit");
  if (table == nullptr) return;
  TableReader reader(root.context(), *table, root.path_of("audit"));
  reader.read_file_path("path", into.path);
  reader.read_enum("sync", into.sync, kSync);
  reader.read_file_path("signing_key_file", into.signing_key_file);
  reader.finish();
  if (into.path.empty() && !table->empty()) {
    root.context().problems.warning(place_of(*table), reader.path(),
                                    "has no path, so nothing is recorded");
  }
}

}  // namespace symbiont::config
