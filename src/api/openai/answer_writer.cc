#include "api/openai/answer_writer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "api/openai/errors.h"
#include "api/request_fields.h"
#include "api/sse.h"

namespace symbiont::api::openai {
const char* CompletionWriter::finish_reason(const ExecutionResult& result) const {
  return result.metadata.finish_reason == "length" ? "length" : "stop";
}

bool CompletionWriter::start(std::size_t choice) {
  const bool before = started_[choice];
  started_[choice] = true;
  return before;
}

CompletionWriter::CompletionWriter(AnswerFormat format)
    : format_(std::move(format)),
      started_(format_.choices),
      said_tokens_(format_.choices),
      said_bytes_(format_.choices),
      choices_(format_.choices) {
  using std::chrono::system_clock;
  created_ =
      std::chrono::duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch())
          .count();
}

void CompletionWriter::on_start(const std::vector<std::string>& execution_ids) {
  id_ = id_from_execution(format_.id_prefix, execution_ids.front());
  chunk_head_ = dump(head(format_.chunk_object));
  chunk_head_.back() = ',';
}

Json CompletionWriter::head(const std::string& object) const {
  return {{"id", id_}, {"object", object}, {"created", created_}, {"model", format_.model}};
}

void CompletionWriter::write_chunk(std::size_t choice,
                                   const Json& delta,
                                   const char* finish_reason,
                                   Output& out) {
  Json item = {{"index", choice}};
  item.update(delta);
  item["finish_reason"] = finish_reason == nullptr ? Json(nullptr) : Json(finish_reason);
  std::string chunk = chunk_head_;
  chunk.append(R"("choices":[)").append(dump(item)).append("]");
  if (format_.include_usage) chunk += R"(,"usage":null)";
  chunk += '}';
  std::string event;
  append_event(event, chunk);
  out.write(event);
}

Json CompletionWriter::next_logprobs(std::size_t choice, std::span<const TokenLogprobs> tokens) {
  Json said = logprobs(tokens, said_bytes_[choice]);
  said_tokens_[choice] += tokens.size();
  for (const TokenLogprobs& token : tokens)
    said_bytes_[choice] += token.chosen.token.size();
  return said;
}

void CompletionWriter::on_text(std::size_t choice, const TextPiece& piece, Output& out) {
  Json delta = text_choice(piece.text, !start(choice));
  delta["logprobs"] = next_logprobs(choice, piece.logprobs);
  write_chunk(choice, delta, nullptr, out);
}

void CompletionWriter::on_end(std::size_t choice, const ExecutionResult& result, Output& out) {
  const TokenUsage& usage = result.metadata.usage;
  // The prompt is the same for every choice and counts once.
  usage_.prompt_tokens = std::max(usage_.prompt_tokens, usage.prompt_tokens);
  usage_.cached_tokens = std::max(usage_.cached_tokens, usage.cached_tokens);
  usage_.completion_tokens += usage.completion_tokens;
  if (format_.stream) {
    Json last = last_choice(result, !start(choice));
    const std::span all(result.logprobs);
    last["logprobs"] =
        next_logprobs(choice, all.subspan(std::min(said_tokens_[choice], all.size())));
    write_chunk(choice, last, finish_reason(result), out);
    return;
  }
  Json item = {{"index", choice}};
  item.update(whole_choice(result));
  item["logprobs"] = logprobs(result.logprobs, 0);
  item["finish_reason"] = finish_reason(result);
  choices_[choice] = std::move(item);
}

Json CompletionWriter::usage() const {
  const std::uint64_t total =
      std::uint64_t{usage_.prompt_tokens} + std::uint64_t{usage_.completion_tokens};
  return {{"prompt_tokens", usage_.prompt_tokens},
          {"completion_tokens", usage_.completion_tokens},
          {"total_tokens", total},
          {"prompt_tokens_details", {{"cached_tokens", usage_.cached_tokens}}}};
}

void CompletionWriter::finish(Output& out) {
  if (!format_.stream) {
    Json object = head(format_.object);
    object["choices"] = choices_;
    object["usage"] = usage();
    out.respond({.body = dump(object)});
    return;
  }
  std::string events;
  if (format_.include_usage) {
    Json object = head(format_.chunk_object);
    object["choices"] = Json::array();
    object["usage"] = usage();
    append_event(events, dump(object));
  }
  append_event(events, "[DONE]");
  out.write(events);
}

void CompletionWriter::on_error(const ApiError& error, Output& out) {
  std::string event;
  append_event(event, dump(error_object(error)));
  append_event(event, "[DONE]");
  out.write(event);
}

}  // namespace symbiont::api::openai
