#include "api/plan_in_progress.h"

#include <chrono>
#include <cstdint>
#include <utility>
#include <variant>

namespace symbiont::api {
namespace {

std::uint64_t tokens_used(const Engine::Outcome& outcome) {
  const ExecutionMetadata* metadata = outcome.has_value() ? &outcome->metadata : nullptr;
  if (metadata == nullptr) {
    const auto* error = std::get_if<SlmRunnerError>(&outcome.error());
    if (error == nullptr) return 0;
    metadata = &error->metadata();
  }
  const TokenUsage& usage = metadata->usage;
  return std::uint64_t{usage.prompt_tokens} + usage.completion_tokens;
}

}  // namespace

PlanInProgress::PlanInProgress(Service& service,
                               const Route& route,
                               const Request& request,
                               Plan plan,
                               std::function<void()> wake)
    : service_(service),
      route_(route),
      request_(request),
      writer_(std::move(plan.writer)),
      content_type_(std::move(plan.content_type)),
      model_id_(plan.executions.front().model_id),
      fields_(std::move(plan.fields)),
      streams_(plan.streams),
      mailbox_(std::make_shared<Mailbox>(std::move(wake))) {
  submit(std::move(plan.executions));
}

PlanInProgress::~PlanInProgress() {
  mailbox_->close();
  for (const Dispatcher::Handle& handle : handles_)
    handle->cancel();
}

void PlanInProgress::submit(std::vector<EngineRequest> executions) {
  for (std::size_t choice = 0; choice < executions.size(); ++choice) {
    ExecutionEvents events;
    if (streams_) {
      events.on_text = [mailbox = mailbox_, choice](const TextPiece& piece) {
        return mailbox->put_text(choice, piece);
      };
    }
    events.on_end = [mailbox = mailbox_, choice, quotas = service_.quotas(),
                     agent = request_.identity.agent](Engine::Outcome outcome) {
      // Here and not on the loop: what was used counts also when nobody waits for the answer.
      quotas->spend_tokens(agent, tokens_used(outcome), std::chrono::steady_clock::now());
      mailbox->put_end(choice, std::move(outcome));
    };
    auto handle =
        service_.gateway().dispatcher->submit(std::move(executions[choice]), std::move(events));
    if (!handle.has_value()) return fail(to_api_error(handle.error()));
    handles_.push_back(*std::move(handle));
  }
  std::vector<std::string> ids;
  ids.reserve(handles_.size());
  for (const Dispatcher::Handle& handle : handles_)
    ids.push_back(handle->id());
  writer_->on_start(ids);
}

Header PlanInProgress::execution_header() const {
  std::string ids;
  for (const Dispatcher::Handle& handle : handles_) {
    if (!ids.empty()) ids += ", ";
    ids += handle->id();
  }
  return {"x-execution-id", ids};
}

Response PlanInProgress::stream_response() const {
  return {.content_type = content_type_, .headers = {execution_header()}};
}

void PlanInProgress::fail(const ApiError& error) {
  is_done_ = true;
  if (out_.is_stream()) {
    writer_->on_error(error, out_);
    return;
  }
  Response response = route_.render_error(error, request_);
  if (!handles_.empty()) response.headers.push_back(execution_header());
  out_.respond(std::move(response));
}

void PlanInProgress::take(MailboxEvent event) {
  if (!event.outcome.has_value()) {
    writer_->on_text(event.choice, {event.text, event.logprobs}, out_);
    return;
  }
  const Engine::Outcome& outcome = *event.outcome;
  if (!outcome.has_value()) return fail(to_api_error(outcome.error(), model_id_, fields_));
  writer_->on_end(event.choice, *outcome, out_);
  if (++ended_ < handles_.size()) return;
  writer_->finish(out_);
  if (!out_.is_stream()) out_.response().headers.push_back(execution_header());
  is_done_ = true;
}

void PlanInProgress::advance() {
  std::vector<MailboxEvent> events = mailbox_->take();
  for (MailboxEvent& event : events) {
    if (is_done_) return;  // an error: what the other choices say is of no use
    take(std::move(event));
  }
}

}  // namespace symbiont::api
