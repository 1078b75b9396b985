#ifndef SYMBIONT_API_PLAN_IN_PROGRESS_H_
#define SYMBIONT_API_PLAN_IN_PROGRESS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/answer.h"
#include "api/mailbox.h"
#include "api/service.h"
#include "engine/dispatcher.h"

namespace symbiont::api {

/// Executes a Plan: submits its executions and brings what they say to the writer. Ends them when
/// it goes away before they have. For the loop's thread only.
class PlanInProgress {
 public:
  /// `wake` is called from any thread when advance() has something to do. `service`, `route` and
  /// `request` outlive this object.
  PlanInProgress(Service& service,
                 const Route& route,
                 const Request& request,
                 Plan plan,
                 std::function<void()> wake);
  PlanInProgress(const PlanInProgress&) = delete;
  PlanInProgress& operator=(const PlanInProgress&) = delete;
  ~PlanInProgress();

  /// Gives the writer what has come in.
  void advance();
  [[nodiscard]] bool is_done() const { return is_done_; }
  /// What the writer wrote: taken from here.
  [[nodiscard]] Output& out() { return out_; }
  /// The head of the stream.
  [[nodiscard]] Response stream_response() const;

 private:
  void submit(std::vector<EngineRequest> executions);
  void take(MailboxEvent event);
  void fail(const ApiError& error);
  [[nodiscard]] Header execution_header() const;

  Service& service_;
  const Route& route_;
  const Request& request_;
  std::unique_ptr<AnswerWriter> writer_;
  std::string content_type_;
  std::string model_id_;
  FieldNames fields_;
  bool streams_;
  std::shared_ptr<Mailbox> mailbox_;
  std::vector<Dispatcher::Handle> handles_;
  std::size_t ended_ = 0;
  bool is_done_ = false;
  Output out_;
};

}  // namespace symbiont::api

#endif  // SYMBIONT_API_PLAN_IN_PROGRESS_H_
