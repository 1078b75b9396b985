#ifndef SYMBIONT_OBSERVE_PROMETHEUS_TEXT_H_
#define SYMBIONT_OBSERVE_PROMETHEUS_TEXT_H_

// Figures by label, and how Prometheus wants to read them (text exposition format 0.0.4). Not
// thread-safe.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace symbiont::observe {

/// Names and values; each family always uses the same names in the same order.
using Labels = std::vector<std::pair<std::string_view, std::string>>;

/// One figure for each set of labels: a counter or a gauge.
class ScalarFamily {
 public:
  enum class Kind : std::uint8_t { Counter, Gauge };
  ScalarFamily(Kind kind, std::string_view name, std::string_view help)
      : kind_(kind), name_(name), help_(help) {}

  void add(const Labels& labels, double amount);
  void set(const Labels& labels, double value);
  void append_to(std::string& out) const;

 private:
  Kind kind_;
  std::string_view name_;
  std::string_view help_;
  std::map<std::string, double> values_;  // by rendered labels
};

/// How often values were at most each of some bounds, for each set of labels.
class HistogramFamily {
 public:
  /// `bounds` ascend and outlive this object, as do the texts.
  HistogramFamily(std::string_view name, std::string_view help, std::span<const double> bounds)
      : name_(name), help_(help), bounds_(bounds) {}

  void observe(const Labels& labels, double value);
  void append_to(std::string& out) const;

 private:
  struct Series {
    std::vector<std::uint64_t> counts;  // one a bound, and one for what is above
    double sum = 0;
  };
  std::string_view name_;
  std::string_view help_;
  std::span<const double> bounds_;
  std::map<std::string, Series> series_;  // by rendered labels
};

}  // namespace symbiont::observe

#endif  // SYMBIONT_OBSERVE_PROMETHEUS_TEXT_H_
