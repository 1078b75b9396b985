#ifndef SYMBIONT_OBSERVE_OBSERVERS_H_
#define SYMBIONT_OBSERVE_OBSERVERS_H_

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "symbiont/observer.h"

namespace symbiont::observe {

/// Tells several observers. A record counts as written when all of them wrote it.
class Observers final : public Observer {
 public:
  explicit Observers(std::vector<std::shared_ptr<Observer>> all) : all_(std::move(all)) {}

  [[nodiscard]] bool on_access(const AccessRecord& record) override {
    bool written = true;
    for (const auto& one : all_)
      written = one->on_access(record) && written;
    return written;
  }
  void on_worker_restart(std::string_view agent, std::string_view model_id) override {
    for (const auto& one : all_)
      one->on_worker_restart(agent, model_id);
  }
  [[nodiscard]] bool on_finished(const ExecutionMetadata& metadata,
                                 const SlmRunnerError* error) override {
    bool written = true;
    for (const auto& one : all_)
      written = one->on_finished(metadata, error) && written;
    return written;
  }

 private:
  std::vector<std::shared_ptr<Observer>> all_;
};

}  // namespace symbiont::observe

#endif  // SYMBIONT_OBSERVE_OBSERVERS_H_
