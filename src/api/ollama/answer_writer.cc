#include "api/ollama/answer_writer.h"

#include <cmath>
#include <utility>

#include "api/ollama/errors.h"
#include "api/request_fields.h"

namespace symbiont::api::ollama {

std::int64_t nanoseconds(double milliseconds) {
  return std::llround(milliseconds * 1e6);
}

namespace {

Json figures_of(const ExecutionMetadata& metadata) {
  const ExecutionTimings& timing = metadata.timing;
  return {{"done", true},
          {"done_reason", metadata.finish_reason == "length" ? "length" : "stop"},
          {"total_duration", nanoseconds(timing.total_ms)},
          {"load_duration", nanoseconds(timing.load_ms)},
          {"prompt_eval_count", metadata.usage.prompt_tokens},
          {"prompt_eval_duration", nanoseconds(timing.prefill_ms)},
          {"eval_count", metadata.usage.completion_tokens},
          {"eval_duration", nanoseconds(timing.decode_ms)}};
}

}  // namespace

AnswerLines::AnswerLines(std::string model, TextPlace place, bool stream, ToolRequest tools)
    : model_(std::move(model)), place_(place), stream_(stream), tools_(std::move(tools)) {}

void AnswerLines::on_start(const std::vector<std::string>& /*execution_ids*/) {}

Json AnswerLines::object(std::string_view text) const {
  Json object = {{"model", model_}, {"created_at", timestamp_now()}};
  if (place_ == TextPlace::Message) {
    object["message"] = {{"role", "assistant"}, {"content", text}};
  } else {
    object["response"] = text;
  }
  object["done"] = false;
  return object;
}

void AnswerLines::on_text(std::size_t /*choice*/, const TextPiece& piece, Output& out) {
  held_ += piece.text;
  if (!may_be_call(tools_, held_)) out.write(dump(object(std::exchange(held_, {}))) + "\n");
}

void AnswerLines::on_end(std::size_t /*choice*/, const ExecutionResult& result, Output& out) {
  const auto call = find_call(tools_, result.response);
  Json last = object(call ? "" : stream_ ? held_ : result.response);
  if (call) {
    Json function = {{"name", call->name}, {"arguments", call->arguments}};
    last["message"]["tool_calls"] = Json::array({Json{{"function", std::move(function)}}});
  }
  last.update(figures_of(result.metadata));
  if (stream_) {
    out.write(dump(last) + "\n");
  } else {
    out.respond({.body = dump(last)});
  }
}

void AnswerLines::finish(Output& /*out*/) {}

void AnswerLines::on_error(const ApiError& error, Output& out) {
  out.write(dump(error_object(error)) + "\n");
}

}  // namespace symbiont::api::ollama
