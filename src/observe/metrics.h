#ifndef SYMBIONT_OBSERVE_METRICS_H_
#define SYMBIONT_OBSERVE_METRICS_H_

// Figures for Prometheus. Labels are agents and models that were granted, at most kMaxLabelSets of
// them; what comes after counts under "other".

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "symbiont/observer.h"

namespace symbiont::observe {

inline constexpr std::size_t kMaxLabelSets = 1'000;  ///< pairs of agent and model

/// Threads: any.
class Metrics final : public Observer {
 public:
  Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;
  ~Metrics() override;

  [[nodiscard]] bool on_access(const AccessRecord& record) override;
  void on_worker_restart(std::string_view agent, std::string_view model_id) override;
  [[nodiscard]] bool on_finished(const ExecutionMetadata& metadata,
                                 const SlmRunnerError* error) override;

  /// Executions that wait and that run, as of now.
  void set_load(std::size_t queued, std::size_t running);
  /// Text exposition format 0.0.4.
  [[nodiscard]] std::string text() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace symbiont::observe

#endif  // SYMBIONT_OBSERVE_METRICS_H_
