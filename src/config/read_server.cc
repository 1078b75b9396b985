#include <array>
#include <charconv>
#include <chrono>
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

void read_count(TableReader& reader, std::string_view key, std::uint32_t& into, std::uint64_t max) {
  std::uint64_t value = 0;
  if (reader.get(key, value, {1, max})) into = static_cast<std::uint32_t>(value);
}

void read_seconds(TableReader& reader,
                  std::string_view key,
                  std::chrono::seconds& into,
                  std::uint64_t max) {
  std::uint64_t value = 0;
  if (reader.get(key, value, {1, max, "seconds"})) into = std::chrono::seconds(value);
}

void read_limits(TableReader& server, ServerLimits& into) {
  const toml::table* table = server.find_table("limits");
  if (table == nullptr) return;
  TableReader reader(server.context(), *table, server.path_of("limits"));
  reader.get("max_body_bytes", into.max_body_bytes, {kMinBodyBytes, kMaxBodyBytes, "bytes"});
  read_count(reader, "max_connections", into.max_connections, kMaxConnections);
  read_seconds(reader, "header_timeout_seconds", into.header_timeout, kMaxHeaderTimeoutSeconds);
  read_seconds(reader, "body_timeout_seconds", into.body_timeout, kMaxServerTimeoutSeconds);
  read_seconds(reader, "idle_timeout_seconds", into.idle_timeout, kMaxServerTimeoutSeconds);
  read_seconds(reader, "write_timeout_seconds", into.write_timeout, kMaxServerTimeoutSeconds);
  read_seconds(reader, "execution_timeout_seconds", into.execution_timeout, kMaxExecutionSeconds);
  read_count(reader, "max_running", into.max_running, kMaxExecutions);
  read_count(reader, "max_running_per_agent", into.max_running_per_agent, kMaxExecutions);
  read_count(reader, "max_queued", into.max_queued, kMaxQueued);
  read_count(reader, "max_queued_per_agent", into.max_queued_per_agent, kMaxQueued);
  read_count(reader, "max_parallel", into.max_parallel, kMaxParallel);
  std::uint64_t idle = 0;
  if (reader.get("idle_unload_seconds", idle, {0, kMaxExecutionSeconds, "seconds"}))
    into.idle_unload = std::chrono::seconds(idle);
  reader.get("memory_budget_mb", into.memory_budget_mb, {0, kMaxBudgetMb});
  reader.finish();
}

void read_quotas(TableReader& server, ServerQuotas& into) {
  const toml::table* table = server.find_table("quotas");
  if (table == nullptr) return;
  TableReader reader(server.context(), *table, server.path_of("quotas"));
  reader.get("requests_per_minute", into.requests_per_minute, {0, kMaxPerMinute});
  reader.get("tokens_per_minute", into.tokens_per_minute, {0, kMaxPerMinute});
  reader.finish();
}

/// "1000" = "agent"
void read_unix_agents(TableReader& server, std::map<std::uint32_t, std::string>& into) {
  const toml::table* table = server.find_table("unix_agents");
  if (table == nullptr) return;
  TableReader reader(server.context(), *table, server.path_of("unix_agents"));
  for (const auto& [key, node] : *table) {
    std::uint32_t uid = 0;
    const std::string_view text = key.str();
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), uid);
    std::string agent;
    const bool right = reader.get(text, agent, kMaxNameBytes);
    if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) {
      reader.error(node, text, "a user id is a whole number");
    } else if (right) {
      into.emplace(uid, std::move(agent));
    }
  }
  if (table->size() > kMaxUnixAgents) {
    server.error(*table, "unix_agents", fmt::format("has more than {} entries", kMaxUnixAgents));
  }
}

void read_hosts(TableReader& server, std::vector<std::string>& into) {
  server.read_texts("allowed_hosts", kMaxListItems,
                    [&](std::string text, const toml::node& node, const std::string& key) {
                      if (auto problem = find_host_problem(text); problem.has_value()) {
                        server.context().problems.error(place_of(node), key, *std::move(problem));
                      } else {
                        into.push_back(std::move(text));
                      }
                    });
}

void read_origins(TableReader& server, std::vector<std::string>& into) {
  server.read_texts(
      "cors_origins", kMaxListItems,
      [&](std::string text, const toml::node& node, const std::string& key) {
        // As browsers write them: without a path, not even a slash.
        const std::size_t slashes = text.find("://");
        auto problem = find_url_problem(text);
        if (!problem.has_value() && text.find('/', slashes + 3) != std::string::npos) {
          problem = "an origin has no path: \"https://app.example\"";
        }
        if (problem.has_value()) {
          server.context().problems.error(place_of(node), key, *std::move(problem));
        } else {
          into.push_back(std::move(text));
        }
      });
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
  reader.get("default_agent", into.default_agent, kMaxNameBytes);
  read_unix_agents(reader, into.unix_agents);
  read_hosts(reader, into.allowed_hosts);
  read_origins(reader, into.cors_origins);
  read_limits(reader, into.limits);
  read_quotas(reader, into.quotas);
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
