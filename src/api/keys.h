#ifndef SYMBIONT_API_KEYS_H_
#define SYMBIONT_API_KEYS_H_

// API keys: who holds which. The file holds hashes only; a key itself is seen once, when it is
// made. The server looks at the file before every answer, so that a revocation acts at once.

#include <sys/stat.h>
#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/http.h"
#include "base/result.h"

namespace symbiont::api {

inline constexpr std::string_view kKeyPrefix = "sym-";
inline constexpr std::size_t kKeySecretBytes = 32;
inline constexpr std::size_t kMaxKeys = 10'000;
inline constexpr std::size_t kMaxKeyFileBytes = std::size_t{8} << 20U;
inline constexpr std::size_t kMaxAgentBytes = 256;

using KeyHash = std::array<unsigned char, 32>;  // SHA-256 of the whole key

struct KeyRecord {
  std::string id;  ///< "key-" and 12 hex digits: names it without giving it away
  std::string agent;
  Scopes scopes;
  KeyHash hash{};
  std::int64_t created = 0;             ///< seconds since 1970
  std::optional<std::int64_t> expires;  ///< as above; absent = never
};

[[nodiscard]] KeyHash hash_key(std::string_view key);

/// "inference,read,admin" in this order.
[[nodiscard]] std::string to_string(Scopes scopes);
/// nullopt when a name is unknown or there is none.
[[nodiscard]] std::optional<Scopes> parse_scopes(std::string_view text);

/// All keys of a file; none when it does not exist.
[[nodiscard]] Result<std::vector<KeyRecord>> read_keys(const std::filesystem::path& path);

struct NewKey {
  KeyRecord record;
  std::string key;  ///< "sym-..."; kept nowhere
};

/// Makes a key and adds it to the file, which is created with mode 0600 when it is missing.
[[nodiscard]] Result<NewKey> add_key(const std::filesystem::path& path,
                                     std::string agent,
                                     Scopes scopes,
                                     std::optional<std::chrono::seconds> lifetime);
/// Takes a key out by its id; NotFound.
[[nodiscard]] Status revoke_key(const std::filesystem::path& path, std::string_view id);

/// The file as the server sees it. Not thread-safe.
class KeyStore {
 public:
  explicit KeyStore(std::filesystem::path path) : path_(std::move(path)) {}

  enum class Refused : std::uint8_t { Unknown, Expired, Unreadable };
  /// Who holds this key. A file that cannot be read lets nobody in.
  [[nodiscard]] std::expected<KeyRecord, Refused> find(std::string_view key, std::int64_t now);
  /// Reads the file now.
  [[nodiscard]] Result<std::size_t> count();
  /// What was wrong with the file, once for each change of it.
  [[nodiscard]] std::optional<Error> take_problem();

 private:
  void refresh();

  std::filesystem::path path_;
  struct stat seen_{};  // of the file that keys_ came from
  bool is_read_ = false;
  bool is_usable_ = false;
  std::vector<KeyRecord> keys_;
  std::optional<Error> problem_;
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_KEYS_H_
