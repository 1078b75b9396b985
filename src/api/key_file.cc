// The key file itself: JSON, rewritten as a whole beside its old self and renamed over it, under a
// lock file, so that a reader sees the old keys or the new ones and two writers lose nothing.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "api/fields.h"
#include "api/json.h"
#include "api/keys.h"
#include "base/file.h"
#include "base/strings.h"
#include "base/unique_fd.h"

namespace symbiont::api {
namespace {

constexpr int kVersion = 1;
constexpr std::string_view kHexDigits = "0123456789abcdef";

std::string to_hex(std::span<const unsigned char> bytes) {
  std::string text;
  for (const unsigned char byte : bytes) {
    text += kHexDigits[byte >> 4U];
    text += kHexDigits[byte & 15U];
  }
  return text;
}

bool from_hex(std::string_view text, KeyHash& into) {
  if (text.size() != into.size() * 2) return false;
  for (std::size_t i = 0; i < into.size(); ++i) {
    const std::size_t high = kHexDigits.find(text[2 * i]);
    const std::size_t low = kHexDigits.find(text[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return false;
    into[i] = static_cast<unsigned char>(high * 16 + low);
  }
  return true;
}

std::string to_base64url(std::span<const unsigned char> bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  unsigned bits = 0;
  unsigned count = 0;
  for (const unsigned char byte : bytes) {
    bits = (bits << 8U) | byte;
    count += 8;
    for (; count >= 6; count -= 6)
      text += kDigits[(bits >> (count - 6)) & 63U];
  }
  if (count > 0) text += kDigits[(bits << (6 - count)) & 63U];
  return text;
}

Status fill_random(std::span<unsigned char> into) {
  ssize_t got = -1;
  do {
    got = ::getrandom(into.data(), into.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(into.size())) return fail(errno_error("random bytes"));
  return {};
}

KeyRecord read_record(Fields& fields) {
  KeyRecord record;
  std::string scopes;
  std::string hash;
  if (fields.require("id") != nullptr) fields.get("id", record.id, 64);
  if (fields.require("agent") != nullptr) fields.get("agent", record.agent, kMaxAgentBytes);
  if (fields.require("scopes") != nullptr) fields.get("scopes", scopes, 256);
  if (fields.require("sha256") != nullptr) fields.get("sha256", hash, 64);
  fields.get("created", record.created, Range<std::int64_t>{0, INT64_MAX});
  fields.get("expires", record.expires, Range<std::int64_t>{0, INT64_MAX});
  const auto parsed = parse_scopes(scopes);
  if (!parsed.has_value()) fields.fail("scopes", "expected inference, read, admin");
  record.scopes = parsed.value_or(Scopes());
  if (!from_hex(hash, record.hash)) fields.fail("sha256", "expected 64 hex digits");
  if (record.agent.empty()) fields.fail("agent", "is empty");
  return record;
}

std::expected<std::vector<KeyRecord>, ApiError> parse_keys(const Json& json) {
  std::vector<KeyRecord> keys;
  Fields file(json);
  int version = 0;
  if (file.require("version") != nullptr) file.get("version", version, Range<int>{1, kVersion});
  const Json* list = file.require("keys");
  if (list != nullptr && (!list->is_array() || list->size() > kMaxKeys)) {
    file.fail("keys", fmt::format("expected an array of at most {} keys", kMaxKeys));
  }
  for (std::size_t i = 0; file.ok() && i < list->size(); ++i) {
    Fields fields((*list)[i], fmt::format("keys[{}]", i));
    keys.push_back(read_record(fields));
    if (auto done = fields.finish(); !done.has_value()) file.fail(std::move(done).error());
  }
  SYMBIONT_TRY_STATUS(file.finish());
  return keys;
}

std::string render(const std::vector<KeyRecord>& keys) {
  Json list = Json::array();
  for (const KeyRecord& key : keys) {
    Json item = {{"id", key.id},
                 {"agent", key.agent},
                 {"scopes", to_string(key.scopes)},
                 {"sha256", to_hex(key.hash)},
                 {"created", key.created}};
    if (key.expires.has_value()) item["expires"] = *key.expires;
    list.push_back(std::move(item));
  }
  return Json({{"version", kVersion}, {"keys", std::move(list)}}).dump(2) + "\n";
}

Status replace_file(const std::filesystem::path& path, std::string_view text) {
  return write_file(path, text, 0600, IfThere::Replace);
}

/// Holds the lock of a key file. The lock file stays: removing it would let two writers in.
Result<UniqueFd> lock_file(const std::filesystem::path& path) {
  const std::string name = path.string() + ".lock";
  UniqueFd fd(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.is_valid()) return fail(errno_error("open '" + name + "'"));
  int locked = -1;
  do {
    locked = ::flock(fd.get(), LOCK_EX);
  } while (locked != 0 && errno == EINTR);
  if (locked != 0) return fail(errno_error("lock '" + name + "'"));
  return fd;
}

}  // namespace

Result<std::vector<KeyRecord>> read_keys(const std::filesystem::path& path) {
  auto text = read_file(path, kMaxKeyFileBytes);
  if (!text.has_value()) {
    if (text.error().code() == ErrorCode::NotFound) return std::vector<KeyRecord>();
    return fail(std::move(text).error());
  }
  auto json = parse_object(*text);
  std::expected<std::vector<KeyRecord>, ApiError> keys =
      json.has_value() ? parse_keys(*json) : std::unexpected(json.error());
  if (keys.has_value()) return *std::move(keys);
  return fail(ErrorCode::DataCorrupt,
              fmt::format("key file '{}': {}", path.string(), keys.error().message));
}

Result<NewKey> add_key(const std::filesystem::path& path,
                       std::string agent,
                       Scopes scopes,
                       std::optional<std::chrono::seconds> lifetime) {
  if (agent.empty() || agent.size() > kMaxAgentBytes) {
    return fail(ErrorCode::InvalidArgument, "an agent's name has 1 .. 256 bytes");
  }
  SYMBIONT_TRY(const UniqueFd lock, lock_file(path));
  SYMBIONT_TRY(std::vector<KeyRecord> keys, read_keys(path));
  if (keys.size() >= kMaxKeys) {
    return fail(ErrorCode::ResourceExhausted,
                fmt::format("'{}' has {} keys; revoke some", path.string(), keys.size()));
  }
  std::array<unsigned char, kKeySecretBytes> secret{};
  std::array<unsigned char, 6> id{};
  SYMBIONT_TRY_STATUS(fill_random(secret));
  SYMBIONT_TRY_STATUS(fill_random(id));
  NewKey made;
  made.key = std::string(kKeyPrefix) + to_base64url(secret);
  made.record.id = "key-" + to_hex(id);
  made.record.agent = std::move(agent);
  made.record.scopes = scopes;
  made.record.hash = hash_key(made.key);
  using std::chrono::system_clock;
  made.record.created = system_clock::to_time_t(system_clock::now());
  if (lifetime.has_value()) made.record.expires = made.record.created + lifetime->count();
  keys.push_back(made.record);
  SYMBIONT_TRY_STATUS(replace_file(path, render(keys)));
  return made;
}

Status revoke_key(const std::filesystem::path& path, std::string_view id) {
  SYMBIONT_TRY(const UniqueFd lock, lock_file(path));
  SYMBIONT_TRY(std::vector<KeyRecord> keys, read_keys(path));
  if (std::erase_if(keys, [&](const KeyRecord& key) { return key.id == id; }) == 0) {
    return fail(ErrorCode::NotFound,
                fmt::format("'{}' has no key {}; 'symbiont key list --keys {}' shows those it has",
                            path.string(), symbiont::quoted(id), path.string()));
  }
  return replace_file(path, render(keys));
}

}  // namespace symbiont::api
