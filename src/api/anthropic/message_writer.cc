#include "api/anthropic/message_writer.h"

#include <algorithm>
#include <utility>

#include "api/anthropic/errors.h"
#include "api/request_fields.h"
#include "api/sse.h"

namespace symbiont::api::anthropic {
namespace {

void write_event(Output& out, const Json& object) {
  std::string event;
  append_event(event, dump(object), object["type"].get_ref<const std::string&>());
  out.write(event);
}

/// This API counts what was remembered of a prompt apart. Remembering costs nothing more here.
Json usage_of(const TokenUsage& usage) {
  return {
      {"input_tokens", usage.prompt_tokens - std::min(usage.cached_tokens, usage.prompt_tokens)},
      {"cache_creation_input_tokens", 0},
      {"cache_read_input_tokens", usage.cached_tokens},
      {"output_tokens", usage.completion_tokens}};
}

Json stop_of(const ExecutionResult& result, bool is_call) {
  if (is_call) return {{"stop_reason", "tool_use"}, {"stop_sequence", nullptr}};
  if (!result.stop.empty())
    return {{"stop_reason", "stop_sequence"}, {"stop_sequence", result.stop}};
  const bool is_cut = result.metadata.finish_reason == "length";
  return {{"stop_reason", is_cut ? "max_tokens" : "end_turn"}, {"stop_sequence", nullptr}};
}

Json text_block(std::string_view text) {
  return {{"type", "text"}, {"text", text}};
}

}  // namespace

MessageWriter::MessageWriter(std::string model,
                             std::string request_id,
                             bool stream,
                             ToolRequest tools)
    : model_(std::move(model)),
      request_id_(std::move(request_id)),
      stream_(stream),
      tools_(std::move(tools)) {}

void MessageWriter::on_start(const std::vector<std::string>& execution_ids) {
  id_ = id_from_execution("msg_", execution_ids.front());
  call_id_ = id_from_execution("toolu_", execution_ids.front());
}

Json MessageWriter::message() const {
  return {{"id", id_},
          {"type", "message"},
          {"role", "assistant"},
          {"model", model_},
          {"content", Json::array()},
          {"stop_reason", nullptr},
          {"stop_sequence", nullptr},
          {"usage", usage_of({})}};
}

/// Its usage is nothing yet; message_delta has the totals, which replace it.
void MessageWriter::start_message(Output& out) {
  if (std::exchange(has_started_, true)) return;
  write_event(out, {{"type", "message_start"}, {"message", message()}});
}

Json MessageWriter::call_block(const ToolCall& call) const {
  return {{"type", "tool_use"}, {"id", call_id_}, {"name", call.name}, {"input", call.arguments}};
}

void MessageWriter::on_text(std::size_t /*choice*/, const TextPiece& piece, Output& out) {
  start_message(out);
  held_ += piece.text;
  if (!may_be_call(tools_, held_)) write_text(std::exchange(held_, {}), out);
}

void MessageWriter::write_text(std::string_view text, Output& out) {
  if (!std::exchange(has_block_, true)) {
    write_event(out,
                {{"type", "content_block_start"}, {"index", 0}, {"content_block", text_block("")}});
  }
  write_event(out, {{"type", "content_block_delta"},
                    {"index", 0},
                    {"delta", {{"type", "text_delta"}, {"text", text}}}});
}

/// Its input is what the deltas add up to.
void MessageWriter::write_call(const Json& block, Output& out) {
  has_block_ = true;
  Json begun = block;
  begun["input"] = Json::object();
  write_event(out, {{"type", "content_block_start"}, {"index", 0}, {"content_block", begun}});
  write_event(out,
              {{"type", "content_block_delta"},
               {"index", 0},
               {"delta", {{"type", "input_json_delta"}, {"partial_json", dump(block["input"])}}}});
}

void MessageWriter::on_end(std::size_t /*choice*/, const ExecutionResult& result, Output& out) {
  const auto call = find_call(tools_, result.response);
  if (!stream_) {
    Json object = message();
    if (call) {
      object["content"].push_back(call_block(*call));
    } else if (!result.response.empty()) {
      object["content"].push_back(text_block(result.response));
    }
    object.update(stop_of(result, call.has_value()));
    object["usage"] = usage_of(result.metadata.usage);
    out.respond({.body = dump(object)});
    return;
  }
  start_message(out);
  if (call) {
    write_call(call_block(*call), out);
  } else if (!held_.empty()) {
    write_text(held_, out);
  }
  if (has_block_) write_event(out, {{"type", "content_block_stop"}, {"index", 0}});
  write_event(out, {{"type", "message_delta"},
                    {"delta", stop_of(result, call.has_value())},
                    {"usage", usage_of(result.metadata.usage)}});
}

void MessageWriter::finish(Output& out) {
  if (stream_) write_event(out, {{"type", "message_stop"}});
}

void MessageWriter::on_error(const ApiError& error, Output& out) {
  write_event(out, error_object(error, request_id_));
}

}  // namespace symbiont::api::anthropic
