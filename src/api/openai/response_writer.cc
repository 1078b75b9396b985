#include "api/openai/response_writer.h"

#include <chrono>
#include <utility>

#include "api/request_fields.h"
#include "api/sse.h"

namespace symbiont::api::openai {
namespace {

std::int64_t now_seconds() {
  using namespace std::chrono;  // NOLINT(google-build-using-namespace): clocks and units
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

Json text_part(std::string_view text) {
  return {{"type", "output_text"},
          {"text", text},
          {"annotations", Json::array()},
          {"logprobs", Json::array()}};
}

Json usage_of(const TokenUsage& usage) {
  const std::uint64_t total =
      std::uint64_t{usage.prompt_tokens} + std::uint64_t{usage.completion_tokens};
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", 0}}},
          {"total_tokens", total}};
}

}  // namespace

ResponseWriter::ResponseWriter(Json echo, bool stream, ToolRequest tools)
    : echo_(std::move(echo)),
      stream_(stream),
      tools_(std::move(tools)),
      created_at_(now_seconds()) {}

void ResponseWriter::on_start(const std::vector<std::string>& execution_ids) {
  id_ = id_from_execution("resp_", execution_ids.front());
  message_id_ = id_from_execution("msg_", execution_ids.front());
  call_id_ = id_from_execution("call_", execution_ids.front());
  call_item_id_ = id_from_execution("fc_", execution_ids.front());
}

Json ResponseWriter::response(std::string_view status) const {
  Json object = {{"id", id_},
                 {"object", "response"},
                 {"created_at", created_at_},
                 {"status", status},
                 {"error", nullptr},
                 {"incomplete_details", nullptr},
                 {"output", Json::array()},
                 {"usage", nullptr}};
  object.update(echo_);
  return object;
}

Json ResponseWriter::message(std::string_view status, Json content) const {
  return {{"type", "message"},
          {"id", message_id_},
          {"status", status},
          {"role", "assistant"},
          {"content", std::move(content)}};
}

Json ResponseWriter::call_item(const ToolCall& call) const {
  return {{"type", "function_call"},
          {"id", call_item_id_},
          {"call_id", call_id_},
          {"name", call.name},
          {"arguments", dump(call.arguments)},
          {"status", "completed"}};
}

void ResponseWriter::write_event(std::string_view type, const Json& fields, Output& out) {
  Json object = {{"type", type}, {"sequence_number", sequence_number_++}};
  object.update(fields);
  std::string event;
  append_event(event, dump(object), type);
  out.write(event);
}

void ResponseWriter::write_part_event(std::string_view type, const Json& fields, Output& out) {
  Json object = {{"item_id", message_id_}, {"output_index", 0}, {"content_index", 0}};
  object.update(fields);
  write_event(type, object, out);
}

void ResponseWriter::start_response(Output& out) {
  if (std::exchange(has_started_, true)) return;
  write_event("response.created", {{"response", response("in_progress")}}, out);
  write_event("response.in_progress", {{"response", response("in_progress")}}, out);
}

void ResponseWriter::write_text(std::string_view text, Output& out) {
  if (!std::exchange(has_message_, true)) {
    write_event("response.output_item.added",
                {{"output_index", 0}, {"item", message("in_progress", Json::array())}}, out);
    write_part_event("response.content_part.added", {{"part", text_part("")}}, out);
  }
  if (text.empty()) return;
  write_part_event("response.output_text.delta", {{"delta", text}, {"logprobs", Json::array()}},
                   out);
}

void ResponseWriter::write_call(const Json& item, Output& out) {
  Json begun = item;
  begun["arguments"] = "";
  begun["status"] = "in_progress";
  write_event("response.output_item.added", {{"output_index", 0}, {"item", begun}}, out);
  const Json place = {{"item_id", call_item_id_}, {"output_index", 0}};
  Json delta = place;
  delta["delta"] = item["arguments"];
  write_event("response.function_call_arguments.delta", delta, out);
  Json done = place;
  done["name"] = item["name"];
  done["arguments"] = item["arguments"];
  write_event("response.function_call_arguments.done", done, out);
  write_event("response.output_item.done", {{"output_index", 0}, {"item", item}}, out);
}

void ResponseWriter::on_text(std::size_t /*choice*/, const TextPiece& piece, Output& out) {
  start_response(out);
  text_ += piece.text;
  held_ += piece.text;
  if (!may_be_call(tools_, held_)) write_text(std::exchange(held_, {}), out);
}

void ResponseWriter::end_message(const Json& message, std::string_view text, Output& out) {
  write_part_event("response.output_text.done", {{"text", text}, {"logprobs", Json::array()}}, out);
  write_part_event("response.content_part.done", {{"part", text_part(text)}}, out);
  write_event("response.output_item.done", {{"output_index", 0}, {"item", message}}, out);
}

void ResponseWriter::on_end(std::size_t /*choice*/, const ExecutionResult& result, Output& out) {
  const bool is_whole = result.metadata.finish_reason != "length";
  const std::string_view status = is_whole ? "completed" : "incomplete";
  const auto call = find_call(tools_, result.response);
  const Json item =
      call ? call_item(*call) : message(status, Json::array({text_part(result.response)}));
  Json object = response(status);
  if (!is_whole) object["incomplete_details"] = {{"reason", "max_output_tokens"}};
  object["output"].push_back(item);
  object["usage"] = usage_of(result.metadata.usage);
  if (!stream_) return out.respond({.body = dump(object)});
  start_response(out);
  if (call) {
    write_call(item, out);
  } else {
    write_text(held_, out);
    end_message(item, result.response, out);
  }
  write_event(is_whole ? "response.completed" : "response.incomplete", {{"response", object}}, out);
}

void ResponseWriter::finish(Output& /*out*/) {}

void ResponseWriter::on_error(const ApiError& error, Output& out) {
  Json object = response("failed");
  object["error"] = {{"code", "server_error"}, {"message", error.message}};
  object["output"].push_back(message("incomplete", Json::array({text_part(text_)})));
  write_event("response.failed", {{"response", object}}, out);
}

}  // namespace symbiont::api::openai
