#include "observe/prometheus_text.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace symbiont::observe {
namespace {

void append_escaped(std::string& out, std::string_view value) {
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\' || c == '"') out += '\\';
      out += c;
    }
  }
}

/// `a="x",b="y"`
std::string render(const Labels& labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    if (!text.empty()) text += ',';
    text.append(name).append("=\"");
    append_escaped(text, value);
    text += '"';
  }
  return text;
}

void append_head(std::string& out,
                 std::string_view name,
                 std::string_view help,
                 std::string_view type) {
  fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
}

}  // namespace

void ScalarFamily::add(const Labels& labels, double amount) {
  values_[render(labels)] += amount;
}

void ScalarFamily::set(const Labels& labels, double value) {
  values_[render(labels)] = value;
}

void ScalarFamily::append_to(std::string& out) const {
  append_head(out, name_, help_, kind_ == Kind::Counter ? "counter" : "gauge");
  for (const auto& [labels, value] : values_) {
    fmt::format_to(std::back_inserter(out), "{}{}{}{} {}\n", name_, labels.empty() ? "" : "{",
                   labels, labels.empty() ? "" : "}", value);
  }
}

void HistogramFamily::observe(const Labels& labels, double value) {
  Series& series = series_[render(labels)];
  series.counts.resize(bounds_.size() + 1);
  const auto bound = std::ranges::lower_bound(bounds_, value);
  ++series.counts[static_cast<std::size_t>(bound - bounds_.begin())];
  series.sum += value;
}

void HistogramFamily::append_to(std::string& out) const {
  append_head(out, name_, help_, "histogram");
  for (const auto& [labels, series] : series_) {
    const std::string_view comma = labels.empty() ? "" : ",";
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < series.counts.size(); ++i) {
      below += series.counts[i];
      const std::string bound = i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf";
      fmt::format_to(std::back_inserter(out), "{}_bucket{{{}{}le=\"{}\"}} {}\n", name_, labels,
                     comma, bound, below);
    }
    fmt::format_to(std::back_inserter(out), "{0}_sum{{{1}}} {2}\n{0}_count{{{1}}} {3}\n", name_,
                   labels, series.sum, below);
  }
}

}  // namespace symbiont::observe
