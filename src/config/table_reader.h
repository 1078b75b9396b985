#ifndef SYMBIONT_CONFIG_TABLE_READER_H_
#define SYMBIONT_CONFIG_TABLE_READER_H_

// Reads one TOML table key by key. Each get() checks type and range and reports at the value's
// place; finish() reports every key that nobody asked for, so that the code that reads a table is
// also the list of its keys.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/problems.h"
#include "config/toml.h"

namespace symbiont::config {

[[nodiscard]] Place place_of(const toml::node& node);
[[nodiscard]] Place place_of(const toml::key& key);

template <typename T>
struct Range {
  T min;
  T max;
  std::string_view unit = {};  ///< "MiB"
};

/// What all readers of one file share.
struct Context {
  Problems& problems;
  const std::filesystem::path& directory;  ///< relative paths of files start here; empty = refused
};

class TableReader {
 public:
  TableReader(const Context& context, const toml::table& table, std::string path)
      : context_(&context), table_(&table), path_(std::move(path)) {}

  /// The value of `key`, or nullptr. From now on the key is known.
  const toml::node* find(std::string_view key);
  /// As find(), and an error when it is missing.
  const toml::node* require(std::string_view key);
  /// The table at `key`; anything else there is an error.
  const toml::table* find_table(std::string_view key);
  const toml::array* find_array(std::string_view key);

  // Each sets `into` and returns true when the key is there and right; leaves it otherwise.
  bool get(std::string_view key, bool& into);
  bool get(std::string_view key, std::uint64_t& into, const Range<std::uint64_t>& range);
  bool get(std::string_view key, int& into, const Range<int>& range);
  bool get(std::string_view key, double& into, const Range<double>& range);
  /// Text that is neither empty, nor longer than `max_bytes`, nor holds control bytes.
  bool get(std::string_view key, std::string& into, std::size_t max_bytes);
  /// A path of a file of ours, made absolute by the context's directory.
  bool read_file_path(std::string_view key, std::filesystem::path& into);
  /// Index into `names` of the text at `key`.
  bool read_choice(std::string_view key,
                   std::size_t& into,
                   std::span<const std::string_view> names);
  template <typename Enum>
  bool read_enum(std::string_view key, Enum& into, std::span<const std::string_view> names) {
    std::size_t index = 0;
    if (!read_choice(key, index, names)) return false;
    into = static_cast<Enum>(index);
    return true;
  }
  /// Calls `each(text, node, key path)` for every string of the array at `key`; other items are
  /// errors.
  using TextVisitor = std::function<void(std::string, const toml::node&, const std::string&)>;
  bool read_texts(std::string_view key, std::size_t max_items, const TextVisitor& each);

  /// Reports every key of the table that was not asked for.
  void finish();

  void error(const toml::node& at,
             std::string_view key,
             std::string message,
             std::string suggestion = {});
  [[nodiscard]] std::string path_of(std::string_view key) const;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const toml::table& table() const { return *table_; }
  [[nodiscard]] const Context& context() const { return *context_; }

 private:
  void wrong_type(const toml::node& node, std::string_view key, std::string_view wanted);
  bool read_integer(std::string_view key, std::int64_t& into, const Range<std::int64_t>& range);

  const Context* context_;
  const toml::table* table_;
  std::string path_;
  std::set<std::string, std::less<>> known_;
};

/// The path at `text`, made absolute and normal; reports and returns false when it cannot be.
bool resolve_path(const Context& context,
                  const toml::node& at,
                  const std::string& key,
                  std::string_view text,
                  std::filesystem::path& into);

/// Checks text of any origin as get(key, string) does; `what` is the key path.
bool check_text(const Context& context,
                const toml::node& at,
                const std::string& key,
                std::string_view text,
                std::size_t max_bytes);

}  // namespace symbiont::config

#endif  // SYMBIONT_CONFIG_TABLE_READER_H_
