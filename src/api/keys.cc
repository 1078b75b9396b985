#include "api/keys.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/strings.h"

namespace symbiont::api {
namespace {

constexpr std::pair<Scope, std::string_view> kScopeNames[] = {
    {Scope::Inference, "inference"}, {Scope::Read, "read"}, {Scope::Admin, "admin"}};

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

}  // namespace

KeyHash hash_key(std::string_view key) {
  KeyHash hash{};
  const std::string bytes(key);  // as unsigned char, which the library wants
  std::vector<unsigned char> data(bytes.begin(), bytes.end());
  (void)::SHA256(data.data(), data.size(), hash.data());  // returns its third argument
  ::OPENSSL_cleanse(data.data(), data.size());
  return hash;
}

std::string to_string(Scopes scopes) {
  std::string text;
  for (const auto& [scope, name] : kScopeNames) {
    if (!scopes.has(scope)) continue;
    if (!text.empty()) text += ',';
    text += name;
  }
  return text;
}

std::optional<Scopes> parse_scopes(std::string_view text) {
  Scopes scopes;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view word = text.substr(0, comma);
    const auto* found =
        std::ranges::find(kScopeNames, word, &std::pair<Scope, std::string_view>::second);
    if (found == std::end(kScopeNames)) return std::nullopt;
    scopes = scopes.with(found->first);
    if (comma == std::string_view::npos) return scopes;
    text.remove_prefix(comma + 1);
  }
}

void KeyStore::refresh() {
  struct stat now{};
  const bool exists = ::stat(path_.c_str(), &now) == 0;
  if (is_read_ && exists && same_file(now, seen_)) return;
  if (is_read_ && !exists && seen_.st_ino == 0) return;
  is_read_ = true;
  constexpr struct stat kNone{};
  seen_ = exists ? now : kNone;
  keys_.clear();
  problem_.reset();
  auto keys = read_keys(path_);
  is_usable_ = keys.has_value();
  if (keys.has_value()) {
    keys_ = *std::move(keys);
  } else {
    problem_ = std::move(keys).error();
  }
}

std::expected<KeyRecord, KeyStore::Refused> KeyStore::find(std::string_view key, std::int64_t now) {
  refresh();
  if (!is_usable_) return std::unexpected(Refused::Unreadable);
  const KeyHash hash = hash_key(key);
  const KeyRecord* found = nullptr;
  // Every record is compared, and in constant time: how long it takes says nothing about any key.
  for (const KeyRecord& record : keys_) {
    if (::CRYPTO_memcmp(record.hash.data(), hash.data(), hash.size()) == 0) found = &record;
  }
  if (found == nullptr) return std::unexpected(Refused::Unknown);
  if (found->expires.has_value() && *found->expires <= now) {
    return std::unexpected(Refused::Expired);
  }
  return *found;
}

Result<std::size_t> KeyStore::count() {
  is_read_ = false;
  refresh();
  if (problem_.has_value()) return fail(*problem_);
  return keys_.size();
}

std::optional<Error> KeyStore::take_problem() {
  return std::exchange(problem_, std::nullopt);
}

}  // namespace symbiont::api
