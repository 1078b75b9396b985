#include "gguf/describe.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "gguf/escape.h"

namespace symbiont::gguf {
namespace {

constexpr std::size_t kMaxShownValueBytes = 60;
constexpr std::size_t kMaxShownElementBytes = 16;
constexpr std::size_t kMaxShownNameBytes = 80;
constexpr std::size_t kMaxPaddedColumns =
    48;  // one long key must not push every value off the screen

std::string human_count(std::uint64_t count) {
  const auto value = static_cast<double>(count);
  if (count >= 1'000'000'000) return fmt::format("{:.2f} billion", value / 1e9);
  if (count >= 1'000'000) return fmt::format("{:.2f} million", value / 1e6);
  return fmt::format("{}", count);
}

struct Share {
  std::string_view type;
  std::uint64_t tensors = 0;
  std::uint64_t bytes = 0;
};

std::vector<Share> shares(const Header& header) {
  std::vector<Share> result;
  for (const Tensor& tensor : header.tensors) {
    auto found = std::ranges::find(result, tensor.type->name, &Share::type);
    if (found == result.end())
      found = result.insert(result.end(), Share{.type = tensor.type->name});
    ++found->tensors;
    found->bytes += tensor.bytes;
  }
  std::ranges::sort(result, std::ranges::greater{},
                    [](const Share& share) { return std::pair(share.bytes, share.type); });
  return result;
}

double bits_per_weight(const Header& header) {
  std::uint64_t bytes = 0;
  for (const Tensor& tensor : header.tensors)
    bytes += tensor.bytes;
  if (header.parameters == 0) return 0;
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(header.parameters);
}

std::string text_of(const Scalar& scalar, std::size_t max_bytes) {
  if (const auto* text = std::get_if<Text>(&scalar)) {
    std::string shown = escape(text->kept, max_bytes);
    if (text->kept.size() <= max_bytes && text->kept.size() < text->total_bytes) shown += "...";
    return shown;
  }
  if (const auto* value = std::get_if<std::uint64_t>(&scalar)) return fmt::format("{}", *value);
  if (const auto* value = std::get_if<std::int64_t>(&scalar)) return fmt::format("{}", *value);
  if (const auto* value = std::get_if<double>(&scalar)) return fmt::format("{:g}", *value);
  return *std::get_if<bool>(&scalar) ? "true" : "false";
}

std::string text_of(const Metadata& entry) {
  const auto* array = std::get_if<ArraySummary>(&entry.value);
  if (array == nullptr) return text_of(std::get<Scalar>(entry.value), kMaxShownValueBytes);
  std::string out = "[";
  for (const Scalar& element : array->first) {
    out += (out.size() > 1 ? ", " : "") + text_of(element, kMaxShownElementBytes);
  }
  return out + (array->count > array->first.size() ? ", ...]" : "]");
}

std::string type_of(const Metadata& entry) {
  const auto* array = std::get_if<ArraySummary>(&entry.value);
  if (array == nullptr) return std::string(to_string(entry.type));
  return fmt::format("{}[{}]", to_string(array->element_type), array->count);
}

std::string dimensions_of(const Tensor& tensor) {
  return fmt::format("{}", fmt::join(tensor.dimensions, " x "));
}

/// Columns padded to their widest cell in code points; the last is not padded.
std::string table(const std::vector<std::vector<std::string>>& rows) {
  const auto width_of = [](std::string_view cell) {
    return static_cast<std::size_t>(std::ranges::count_if(
        cell, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80; }));
  };
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], std::min(width_of(row[i]), kMaxPaddedColumns));
    }
  }
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += "  " + row[i];
      const std::size_t width = width_of(row[i]);
      if (i + 1 < row.size() && width < widths[i]) out.append(widths[i] - width, ' ');
    }
    out += '\n';
  }
  return out;
}

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}

// JSON can carry any valid UTF-8; dump() turns all of it into ASCII.
nlohmann::ordered_json json_text(std::string_view text) {
  return is_valid_utf8(text) ? std::string(text) : escape(text);
}

nlohmann::ordered_json json_of(const Scalar& scalar) {
  return std::visit(
      [](const auto& value) -> nlohmann::ordered_json {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, Text>) {
          return json_text(value.kept);
        } else if constexpr (std::is_same_v<T, double>) {
          // JSON has no NaN; nlohmann would print null.
          return std::isfinite(value) ? nlohmann::ordered_json(value)
                                      : nlohmann::ordered_json(fmt::format("{}", value));
        } else {
          return value;
        }
      },
      scalar);
}

nlohmann::ordered_json json_of(const Metadata& entry) {
  nlohmann::ordered_json out = {{"key", json_text(entry.key)},
                                {"type", std::string(to_string(entry.type))}};
  if (const auto* array = std::get_if<ArraySummary>(&entry.value)) {
    out["element_type"] = std::string(to_string(array->element_type));
    out["count"] = array->count;
    out["first"] = nlohmann::ordered_json::array();
    for (const Scalar& element : array->first)
      out["first"].push_back(json_of(element));
    return out;
  }
  const Scalar& scalar = std::get<Scalar>(entry.value);
  out["value"] = json_of(scalar);
  const auto* text = std::get_if<Text>(&scalar);
  if (text != nullptr && text->kept.size() < text->total_bytes) {
    out["truncated"] = true;
    out["bytes"] = text->total_bytes;
  }
  return out;
}

nlohmann::ordered_json json_of(const Tensor& tensor) {
  return {{"name", json_text(tensor.name)},
          {"type", std::string(tensor.type->name)},
          {"dimensions", tensor.dimensions},
          {"offset", tensor.offset},
          {"bytes", tensor.bytes}};
}

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= 1ULL << 30U) return fmt::format("{:.1f} GiB", value / (1U << 30U));
  if (bytes >= 1ULL << 20U) return fmt::format("{:.1f} MiB", value / (1U << 20U));
  if (bytes >= 1ULL << 10U) return fmt::format("{:.1f} KiB", value / (1U << 10U));
  return fmt::format("{} B", bytes);
}

std::optional<std::uint64_t> context_length(const Header& header) {
  const std::string_view architecture = header.string_or_empty("general.architecture");
  const Metadata* entry = header.find(std::string(architecture) + ".context_length");
  if (entry == nullptr) return std::nullopt;
  const auto* scalar = std::get_if<Scalar>(&entry->value);
  const auto* value = scalar == nullptr ? nullptr : std::get_if<std::uint64_t>(scalar);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::string quantisation_summary(const Header& header) {
  if (header.tensors.empty()) return "no tensors";
  std::string out;
  for (const Share& share : shares(header)) {
    fmt::format_to(std::back_inserter(out), "{}{} {} tensor{} ({})", out.empty() ? "" : ", ",
                   share.type, share.tensors, share.tensors == 1 ? "" : "s",
                   human_bytes(share.bytes));
  }
  return out + fmt::format("; {:.2f} bits a weight", bits_per_weight(header));
}

std::string describe_text(const Header& header, std::string_view file_name) {
  const auto context = context_length(header);
  const auto summary_text = [&](std::string_view key) {
    return or_dash(escape(header.string_or_empty(key), kMaxShownNameBytes));
  };
  std::string out = table({
      {"file", escape(file_name)},
      {"size", fmt::format("{} ({} bytes)", human_bytes(header.file_bytes), header.file_bytes)},
      {"format", fmt::format("GGUF version {}, alignment {}, tensor data at offset {}",
                             header.version, header.alignment, header.data_offset)},
      {"architecture", summary_text("general.architecture")},
      {"name", summary_text("general.name")},
      {"context length", context ? fmt::format("{} tokens", *context) : "-"},
      {"parameters", human_count(header.parameters)},
      {"quantisation", quantisation_summary(header)},
  });
  out += fmt::format("\nmetadata ({})\n", header.metadata.size());
  std::vector<std::vector<std::string>> rows = {{"KEY", "TYPE", "VALUE"}};
  for (const Metadata& entry : header.metadata) {
    rows.push_back({escape(entry.key, kMaxShownNameBytes), type_of(entry), text_of(entry)});
  }
  out += table(rows);
  out += fmt::format("\ntensors ({})\n", header.tensors.size());
  rows = {{"NAME", "TYPE", "DIMENSIONS", "OFFSET", "SIZE"}};
  for (const Tensor& tensor : header.tensors) {
    rows.push_back({escape(tensor.name), std::string(tensor.type->name), dimensions_of(tensor),
                    fmt::format("{}", tensor.offset), human_bytes(tensor.bytes)});
  }
  return out + table(rows);
}

std::string describe_json(const Header& header, std::string_view file_name) {
  using Json = nlohmann::ordered_json;
  const auto context = context_length(header);
  Json out = {{"file", json_text(file_name)},
              {"bytes", header.file_bytes},
              {"version", header.version},
              {"alignment", header.alignment},
              {"data_offset", header.data_offset},
              {"architecture", json_text(header.string_or_empty("general.architecture"))},
              {"name", json_text(header.string_or_empty("general.name"))},
              {"context_length", context ? Json(*context) : Json(nullptr)},
              {"parameters", header.parameters},
              {"bits_per_weight", bits_per_weight(header)}};
  out["quantisation"] = Json::array();
  for (const Share& share : shares(header)) {
    out["quantisation"].push_back(
        {{"type", std::string(share.type)}, {"tensors", share.tensors}, {"bytes", share.bytes}});
  }
  out["metadata"] = Json::array();
  for (const Metadata& entry : header.metadata)
    out["metadata"].push_back(json_of(entry));
  out["tensors"] = Json::array();
  for (const Tensor& tensor : header.tensors)
    out["tensors"].push_back(json_of(tensor));
  return out.dump(2, ' ', /*ensure_ascii=*/true) + "\n";
}

}  // namespace symbiont::gguf
