#include "config/table_reader.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "base/strings.h"
#include "config/limits.h"

namespace symbiont::config {
namespace {

Place to_place(const toml::source_position& at) {
  return {at.line, at.column};
}

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

std::string unit_suffix(std::string_view unit) {
  return unit.empty() ? std::string() : fmt::format(" {}", unit);
}

}  // namespace

Place place_of(const toml::node& node) {
  return to_place(node.source().begin);
}
Place place_of(const toml::key& key) {
  return to_place(key.source().begin);
}

std::string TableReader::path_of(std::string_view key) const {
  return join_key(path_, key);
}

void TableReader::error(const toml::node& at,
                        std::string_view key,
                        std::string message,
                        std::string suggestion) {
  context_->problems.error(place_of(at), path_of(key), std::move(message), std::move(suggestion));
}

void TableReader::wrong_type(const toml::node& node,
                             std::string_view key,
                             std::string_view wanted) {
  error(node, key, fmt::format("must be {}, not {}", wanted, type_name(node)));
}

const toml::node* TableReader::find(std::string_view key) {
  known_.emplace(key);
  return table_->get(key);
}

const toml::node* TableReader::require(std::string_view key) {
  const toml::node* node = find(key);
  if (node == nullptr) {
    context_->problems.error(place_of(*table_), path_of(key), "is required and missing");
  }
  return node;
}

const toml::table* TableReader::find_table(std::string_view key) {
  const toml::node* node = find(key);
  if (node == nullptr) return nullptr;
  if (!node->is_table()) wrong_type(*node, key, "a table");
  return node->as_table();
}

const toml::array* TableReader::find_array(std::string_view key) {
  const toml::node* node = find(key);
  if (node == nullptr) return nullptr;
  if (!node->is_array()) wrong_type(*node, key, "an array");
  return node->as_array();
}

bool TableReader::get(std::string_view key, bool& into) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  const auto* value = node->as_boolean();
  if (value == nullptr) {
    wrong_type(*node, key, "true or false");
    return false;
  }
  into = value->get();
  return true;
}

bool TableReader::read_integer(std::string_view key,
                               std::int64_t& into,
                               const Range<std::int64_t>& range) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  const auto* value = node->as_integer();
  if (value == nullptr) {
    wrong_type(*node, key, "an integer");
    return false;
  }
  if (value->get() < range.min || value->get() > range.max) {
    error(*node, key,
          fmt::format("must be from {} to {}{}, not {}", range.min, range.max,
                      unit_suffix(range.unit), value->get()));
    return false;
  }
  into = value->get();
  return true;
}

bool TableReader::get(std::string_view key,
                      std::uint64_t& into,
                      const Range<std::uint64_t>& range) {
  std::int64_t value = 0;
  if (!read_integer(key, value,
                    {static_cast<std::int64_t>(range.min), static_cast<std::int64_t>(range.max),
                     range.unit})) {
    return false;
  }
  into = static_cast<std::uint64_t>(value);
  return true;
}

bool TableReader::get(std::string_view key, int& into, const Range<int>& range) {
  std::int64_t value = 0;
  if (!read_integer(key, value, {range.min, range.max, range.unit})) return false;
  into = static_cast<int>(value);
  return true;
}

bool TableReader::get(std::string_view key, double& into, const Range<double>& range) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  if (!node->is_number()) {
    wrong_type(*node, key, "a number");
    return false;
  }
  const double value = node->value<double>().value_or(std::numeric_limits<double>::quiet_NaN());
  const bool in_range = value >= range.min && value <= range.max;  // NaN is in none
  if (!in_range) {
    error(*node, key,
          fmt::format("must be from {} to {}{}, not {}", range.min, range.max,
                      unit_suffix(range.unit), value));
    return false;
  }
  into = value;
  return true;
}

bool check_text(const Context& context,
                const toml::node& at,
                const std::string& key,
                std::string_view text,
                std::size_t max_bytes) {
  std::string message;
  if (text.empty()) {
    message = "must not be empty";
  } else if (text.size() > max_bytes) {
    message = fmt::format("is {} bytes long; at most {} are allowed", text.size(), max_bytes);
  } else if (std::ranges::any_of(text, [](char c) { return (c >= 0 && c < ' ') || c == 0x7F; })) {
    message = fmt::format("contains an unprintable byte: {}", symbiont::quoted(text));
  }
  if (message.empty()) return true;
  context.problems.error(place_of(at), key, std::move(message));
  return false;
}

bool TableReader::get(std::string_view key, std::string& into, std::size_t max_bytes) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  const auto* value = node->as_string();
  if (value == nullptr) {
    wrong_type(*node, key, "a string");
    return false;
  }
  if (!check_text(*context_, *node, path_of(key), value->get(), max_bytes)) return false;
  into = value->get();
  return true;
}

bool resolve_path(const Context& context,
                  const toml::node& at,
                  const std::string& key,
                  std::string_view text,
                  std::filesystem::path& into) {
  std::filesystem::path path(text);
  if (path.is_relative()) {
    if (context.directory.empty()) {
      context.problems.error(
          place_of(at), key,
          fmt::format("{} must be an absolute path: this text has no directory to start from",
                      symbiont::quoted(text)));
      return false;
    }
    path = context.directory / path;
  }
  into = path.lexically_normal();
  return true;
}

bool TableReader::read_file_path(std::string_view key, std::filesystem::path& into) {
  std::string text;
  if (!get(key, text, kMaxTextBytes)) return false;
  return resolve_path(*context_, *table_->get(key), path_of(key), text, into);
}

bool TableReader::read_choice(std::string_view key,
                              std::size_t& into,
                              std::span<const std::string_view> names) {
  std::string text;
  if (!get(key, text, kMaxTextBytes)) return false;
  const auto* const found = std::ranges::find(names.data(), names.data() + names.size(), text);
  if (found == names.data() + names.size()) {
    error(
        *table_->get(key), key,
        fmt::format("{} is not one of \"{}\"", symbiont::quoted(text), fmt::join(names, "\", \"")),
        context_->problems.suggest(text, names));
    return false;
  }
  into = static_cast<std::size_t>(found - names.data());
  return true;
}

bool TableReader::read_texts(std::string_view key, std::size_t max_items, const TextVisitor& each) {
  const toml::array* array = find_array(key);
  if (array == nullptr) return false;
  if (array->size() > max_items) {
    error(*array, key,
          fmt::format("has {} items; at most {} are allowed", array->size(), max_items));
    return false;
  }
  std::size_t index = 0;
  for (const toml::node& item : *array) {
    const std::string item_key = fmt::format("{}[{}]", path_of(key), index++);
    const auto* text = item.as_string();
    if (text == nullptr) {
      context_->problems.error(place_of(item), item_key,
                               fmt::format("must be a string, not {}", type_name(item)));
    } else if (check_text(*context_, item, item_key, text->get(), kMaxTextBytes)) {
      each(text->get(), item, item_key);
    }
  }
  return true;
}

void TableReader::finish() {
  const std::vector<std::string_view> names(known_.begin(), known_.end());
  for (const auto& [key, node] : *table_) {
    if (known_.contains(key.str())) continue;
    context_->problems.error(place_of(key), path_of(key.str()), "unknown key",
                             context_->problems.suggest(key.str(), names));
  }
}

}  // namespace symbiont::config
