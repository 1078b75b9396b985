// symbiont key: who may use the gateway. The file holds hashes; the server sees a change at once.

#include <chrono>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "api/keys.h"
#include "cmd/symbiont/commands.h"
#include "cmd/symbiont/options.h"
#include "cmd/symbiont/table.h"
#include "cmd/symbiont/terminal.h"
#include "observe/json.h"

namespace symbiont::cli {
namespace {

struct KeyCommand {
  std::string config;
  std::string keys;
  std::string agent;
  std::string scopes = "inference,read";
  std::string expires;
  std::string id;
  bool json = false;
};

std::expected<std::filesystem::path, Failure> keys_path(const KeyCommand& command) {
  if (!command.keys.empty()) return command.keys;
  constexpr const char* kHint =
      "name one with --keys FILE, or with [server] keys_file in the configuration";
  if (find_config(command.config).empty()) {
    return std::unexpected(usage_failure("there is no key file", kHint));
  }
  auto slm = load_config(command.config);
  if (!slm.has_value()) return std::unexpected(slm.error());
  if (slm->server.keys_file.empty()) {
    return std::unexpected(usage_failure("the configuration names no key file", kHint));
  }
  return slm->server.keys_file;
}

/// "30d", or as parse_duration() has it.
std::optional<std::chrono::seconds> parse_lifetime(std::string text) {
  if (text.ends_with('d')) {
    text.pop_back();
    const auto hours = parse_duration(text + "h");
    if (!hours.has_value()) return std::nullopt;
    return std::chrono::duration_cast<std::chrono::seconds>(*hours * 24);
  }
  const auto time = parse_duration(text);
  if (!time.has_value() || *time < std::chrono::seconds(1)) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::seconds>(*time);
}

std::string day(std::int64_t time) {
  const std::time_t seconds = time;
  std::tm utc{};
  if (::gmtime_r(&seconds, &utc) == nullptr) return "?";
  return fmt::format("{:%Y-%m-%d %H:%M}", utc);
}

observe::Json to_json(const api::KeyRecord& key) {
  observe::Json json = {{"id", key.id},
                        {"agent", key.agent},
                        {"scopes", api::to_string(key.scopes)},
                        {"created", key.created},
                        {"expires", nullptr}};
  if (key.expires.has_value()) json["expires"] = *key.expires;
  return json;
}

int print(const std::string& text) {
  return write_stdout(text).has_value() ? 0 : to_int(ExitCode::ReaderGone);
}

int new_key(const KeyCommand& command) {
  const auto path = keys_path(command);
  if (!path.has_value()) return report(path.error(), command.json);
  const auto scopes = api::parse_scopes(command.scopes);
  if (!scopes.has_value()) {
    return report(usage_failure(fmt::format("--scopes: '{}' is no list of scopes", command.scopes),
                                "scopes are inference, read, admin; separate them by commas"),
                  command.json);
  }
  std::optional<std::chrono::seconds> lifetime;
  if (!command.expires.empty()) {
    lifetime = parse_lifetime(command.expires);
    if (!lifetime.has_value()) {
      return report(
          usage_failure(fmt::format("--expires: '{}' is no time above zero", command.expires),
                        "write 30d, 12h or 90m"),
          command.json);
    }
  }
  const auto made = api::add_key(*path, command.agent, *scopes, lifetime);
  if (!made.has_value()) return report(to_failure(made.error()), command.json);
  if (command.json) {
    observe::Json json = to_json(made->record);
    json["key"] = made->key;
    return print(observe::dump(json) + "\n");
  }
  write_stderr(fmt::format("{} for agent '{}' ({}). This is the only time it is shown:\n",
                           made->record.id, made->record.agent, command.scopes));
  return print(made->key + "\n");
}

int list_keys(const KeyCommand& command) {
  const auto path = keys_path(command);
  if (!path.has_value()) return report(path.error(), command.json);
  const auto keys = api::read_keys(*path);
  if (!keys.has_value()) return report(to_failure(keys.error()), command.json);
  if (command.json) {
    observe::Json json = observe::Json::array();
    for (const api::KeyRecord& key : *keys)
      json.push_back(to_json(key));
    return print(observe::dump(json) + "\n");
  }
  Table table({"ID", "AGENT", "SCOPES", "CREATED", "EXPIRES"});
  for (const api::KeyRecord& key : *keys) {
    table.add({{.text = key.id},
               {.text = key.agent},
               {.text = api::to_string(key.scopes)},
               {.text = day(key.created)},
               {.text = key.expires.has_value() ? day(*key.expires) : "never"}});
  }
  return print(table.to_string(wants_colour(1)));
}

int revoke(const KeyCommand& command) {
  const auto path = keys_path(command);
  if (!path.has_value()) return report(path.error());
  const Status done = api::revoke_key(*path, command.id);
  if (!done.has_value()) return report(to_failure(done.error()));
  write_stderr(fmt::format("{} is revoked, also for servers that run\n", command.id));
  return 0;
}

void add_key_options(CLI::App& command, KeyCommand& options) {
  command.add_option("--keys", options.keys, "the key file [[server] keys_file]")
      ->type_name("FILE");
  add_config_option(command, options.config);
}

}  // namespace

void add_key(CLI::App& app, Action& action) {
  CLI::App* key = app.add_subcommand("key", "Make, list and revoke API keys of the gateway");
  key->require_subcommand(1);
  key->footer(
      "Examples:\n  symbiont key new --keys keys.json --agent reviewer --expires 30d\n"
      "  symbiont key list --keys keys.json\n  symbiont key revoke --keys keys.json "
      "key-0123456789ab");
  auto command = std::make_shared<KeyCommand>();

  CLI::App* make = key->add_subcommand("new", "Make a key and print it, once");
  add_key_options(*make, *command);
  make->add_option("--agent", command->agent, "who its requests come from")
      ->required()
      ->type_name("NAME");
  make->add_option("--scopes", command->scopes, "of inference, read, admin")
      ->capture_default_str()
      ->type_name("LIST");
  make->add_option("--expires", command->expires, "how long it is valid: 30d, 12h [for ever]")
      ->type_name("TIME");
  make->add_flag("--json", command->json, "as one JSON object");
  make->footer(
      "Examples:\n  symbiont key new --keys keys.json --agent reviewer --expires 30d\n"
      "  export SYMBIONT_API_KEY=$(symbiont key new --agent reviewer)");
  make->callback([command, &action] { action = [command] { return new_key(*command); }; });

  CLI::App* list = key->add_subcommand("list", "List keys: who holds them, until when");
  add_key_options(*list, *command);
  list->add_flag("--json", command->json, "as one JSON array");
  list->footer("Examples:\n  symbiont key list --keys keys.json");
  list->callback([command, &action] { action = [command] { return list_keys(*command); }; });

  CLI::App* away = key->add_subcommand("revoke", "Take a key away; it stops working at once");
  add_key_options(*away, *command);
  away->add_option("id", command->id, "as 'symbiont key list' shows it")
      ->required()
      ->type_name("ID");
  away->footer("Examples:\n  symbiont key revoke --keys keys.json key-0123456789ab");
  away->callback([command, &action] { action = [command] { return revoke(*command); }; });
}

}  // namespace symbiont::cli
