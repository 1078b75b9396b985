#include "ipc/messages.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace symbiont::ipc {
namespace {

template <typename Table>
void finish(Builder& builder, fb::Body type, flatbuffers::Offset<Table> body) {
  fb::FinishFrameBuffer(builder, fb::CreateFrame(builder, type, body.Union()));
}

flatbuffers::Offset<flatbuffers::String> text_of(Builder& builder, std::string_view text) {
  return builder.CreateString(text.data(), text.size());
}

std::string_view view_of(const flatbuffers::String* text) {
  return text == nullptr ? std::string_view() : std::string_view(text->c_str(), text->size());
}

std::string copy_of(const flatbuffers::String* text) {
  return std::string(view_of(text));
}

Status check_range(std::string_view field, double value, double lowest, double highest) {
  if (value >= lowest && value <= highest) return {};  // false for NaN
  return fail(ErrorCode::InvalidArgument,
              fmt::format("{} is {}; it must be from {} to {}", field, value, lowest, highest));
}

Status read_stop(const fb::Execute& execute, ExecuteRequest& into) {
  if (execute.stop() == nullptr) return {};
  SYMBIONT_TRY_STATUS(
      check_range("number of stop strings", execute.stop()->size(), 0, kMaxStopStrings));
  for (const flatbuffers::String* stop : *execute.stop()) {
    SYMBIONT_TRY_STATUS(
        check_range("bytes of a stop string", double(view_of(stop).size()), 1, kMaxStopBytes));
    into.stop.push_back(copy_of(stop));
  }
  return {};
}

Status read_logit_bias(const fb::Execute& execute, ExecuteRequest& into) {
  if (execute.logit_bias() == nullptr) return {};
  SYMBIONT_TRY_STATUS(
      check_range("number of logit biases", execute.logit_bias()->size(), 0, kMaxLogitBiases));
  for (const fb::LogitBias* from : *execute.logit_bias()) {
    SYMBIONT_TRY_STATUS(check_range("logit bias", double(from->bias()), -100, 100));
    into.logit_bias.emplace_back(from->token(), from->bias());
  }
  return {};
}

Status read_messages(const fb::Execute& execute, ExecuteRequest& into) {
  const std::size_t count = execute.messages() == nullptr ? 0 : execute.messages()->size();
  SYMBIONT_TRY_STATUS(check_range("number of messages", double(count), 1, kMaxMessages));
  if (execute.embed() && count > kMaxEmbeddingInputs)
    return fail(ErrorCode::InvalidArgument, "more messages than embeddings are made of");
  if (into.raw && count != 1) {
    return fail(ErrorCode::InvalidArgument, "a raw prompt is exactly one message");
  }
  into.messages.reserve(count);
  for (const fb::Message* message : *execute.messages()) {
    ChatMessage copy{.role = copy_of(message->role()), .content = copy_of(message->content())};
    const double least = into.raw ? 0 : 1;
    SYMBIONT_TRY_STATUS(
        check_range("bytes of a message's role", double(copy.role.size()), least, kMaxRoleBytes));
    into.messages.push_back(std::move(copy));
  }
  return {};
}

Status check_sampling(const fb::Execute& execute) {
  SYMBIONT_TRY_STATUS(check_range("temperature", double(execute.temperature()), 0, 100));
  SYMBIONT_TRY_STATUS(check_range("top_p", double(execute.top_p()), 0, 1));
  SYMBIONT_TRY_STATUS(check_range("min_p", double(execute.min_p()), 0, 1));
  SYMBIONT_TRY_STATUS(
      check_range("repeat_penalty", double(execute.repeat_penalty()), double{0.01F}, 100));
  SYMBIONT_TRY_STATUS(check_range("frequency_penalty", double(execute.frequency_penalty()), -2, 2));
  SYMBIONT_TRY_STATUS(check_range("presence_penalty", double(execute.presence_penalty()), -2, 2));
  SYMBIONT_TRY_STATUS(check_range("top_logprobs", execute.top_logprobs(), -1, kMaxTopLogprobs));
  SYMBIONT_TRY_STATUS(check_range("top_k", execute.top_k(), 0, 1U << 24U));
  SYMBIONT_TRY_STATUS(check_range("max_tokens", execute.max_tokens(), 1, kMaxContextTokens));
  return {};
}

Status read_rules(const fb::Execute& execute, ExecuteRequest& into) {
  into.grammar = copy_of(execute.grammar());
  into.json_schema = copy_of(execute.json_schema());
  if (into.grammar.size() > kMaxGrammarBytes)
    return fail(ErrorCode::InvalidArgument, "grammar is longer than 256 KiB");
  if (into.json_schema.size() > kMaxGrammarBytes)
    return fail(ErrorCode::InvalidArgument, "json_schema is longer than 256 KiB");
  if (!into.grammar.empty() && !into.json_schema.empty())
    return fail(ErrorCode::InvalidArgument, "grammar and json_schema exclude each other");
  return {};
}

}  // namespace

void encode_load(Builder& builder, const LoadRequest& load) {
  builder.Clear();
  finish(builder, fb::Body::Load,
         fb::CreateLoad(builder, load.context_tokens, load.threads, load.use_mmap,
                        load.max_sequences, load.memory_bytes, load.embeddings));
}

void encode_execute(Builder& builder, const ExecuteRequest& execute) {
  builder.Clear();
  std::vector<flatbuffers::Offset<fb::Message>> messages;
  messages.reserve(execute.messages.size());
  for (const ChatMessage& message : execute.messages) {
    const auto role = text_of(builder, message.role);
    const auto content = text_of(builder, message.content);
    messages.push_back(fb::CreateMessage(builder, role, content));
  }
  std::vector<flatbuffers::Offset<flatbuffers::String>> stop;
  stop.reserve(execute.stop.size());
  for (const std::string& text : execute.stop)
    stop.push_back(text_of(builder, text));
  std::vector<fb::LogitBias> biases;
  biases.reserve(execute.logit_bias.size());
  for (const auto& [token, bias] : execute.logit_bias)
    biases.emplace_back(token, bias);
  const auto message_vector = builder.CreateVector(messages);
  const auto stop_vector = builder.CreateVector(stop);
  const auto bias_vector = builder.CreateVectorOfStructs(biases);
  const auto grammar = text_of(builder, execute.grammar);
  const auto schema = text_of(builder, execute.json_schema);
  finish(builder, fb::Body::Execute,
         fb::CreateExecute(builder, execute.id, execute.cache_key, message_vector, execute.raw,
                           execute.max_tokens, execute.temperature, execute.top_p, execute.top_k,
                           execute.min_p, execute.repeat_penalty, execute.seed, stop_vector,
                           execute.deadline_ms, execute.frequency_penalty, execute.presence_penalty,
                           bias_vector, grammar, schema, execute.only_count, execute.top_logprobs,
                           execute.embed, execute.truncate));
}

void encode_cancel(Builder& builder, std::uint64_t id) {
  builder.Clear();
  finish(builder, fb::Body::Cancel, fb::CreateCancel(builder, id));
}

void encode_locked(Builder& builder) {
  builder.Clear();
  finish(builder, fb::Body::Locked, fb::CreateLocked(builder));
}

void encode_progress(Builder& builder, float fraction) {
  builder.Clear();
  finish(builder, fb::Body::Progress, fb::CreateProgress(builder, fraction));
}

void encode_ready(Builder& builder, const ReadyReport& ready) {
  builder.Clear();
  const auto engine = text_of(builder, ready.engine);
  finish(builder, fb::Body::Ready,
         fb::CreateReady(builder, ready.context_tokens, ready.vocabulary, engine,
                         ready.has_template, ready.max_sequences, ready.embedding_size));
}

void encode_token(Builder& builder,
                  std::uint64_t id,
                  std::string_view text,
                  std::span<const Candidate> logprobs) {
  builder.Clear();
  std::vector<flatbuffers::Offset<fb::Candidate>> candidates;
  candidates.reserve(logprobs.size());
  for (const Candidate& candidate : logprobs) {
    const std::vector<std::uint8_t> bytes(candidate.piece.begin(), candidate.piece.end());
    candidates.push_back(
        fb::CreateCandidate(builder, builder.CreateVector(bytes), candidate.logprob));
  }
  const auto shown = text_of(builder, text);
  const auto list = candidates.empty() ? 0 : builder.CreateVector(candidates);
  finish(builder, fb::Body::Token, fb::CreateToken(builder, id, shown, list));
}

void encode_embedding(Builder& builder,
                      std::uint64_t id,
                      std::uint32_t index,
                      std::span<const float> values) {
  builder.Clear();
  const auto vector = builder.CreateVector(values.data(), values.size());
  finish(builder, fb::Body::Embedding, fb::CreateEmbedding(builder, id, index, vector));
}

void encode_done(Builder& builder, const DoneReport& done) {
  builder.Clear();
  finish(builder, fb::Body::Done,
         fb::CreateDone(builder, done.id, done.finish, done.prompt_tokens, done.completion_tokens,
                        done.cached_tokens, done.prefill_us, done.decode_us, done.stop));
}

void encode_failed(Builder& builder, const FailureReport& failure) {
  builder.Clear();
  const auto message = text_of(builder, failure.message);
  finish(
      builder, fb::Body::Failed,
      fb::CreateFailed(builder, failure.id, failure.kind, message, failure.needed, failure.limit));
}

Result<LoadRequest> read_load(const fb::Load& load) {
  SYMBIONT_TRY_STATUS(check_range("context_tokens", load.context_tokens(), 0, kMaxContextTokens));
  SYMBIONT_TRY_STATUS(check_range("threads", load.threads(), 1, kMaxThreads));
  SYMBIONT_TRY_STATUS(check_range("max_sequences", load.max_sequences(), 1, kMaxSequences));
  return LoadRequest{.context_tokens = load.context_tokens(),
                     .threads = load.threads(),
                     .use_mmap = load.use_mmap(),
                     .max_sequences = load.max_sequences(),
                     .memory_bytes = load.memory_bytes(),
                     .embeddings = load.embeddings()};
}

Result<ExecuteRequest> read_execute(const fb::Execute& execute) {
  SYMBIONT_TRY_STATUS(check_sampling(execute));
  if (execute.id() == 0) return fail(ErrorCode::InvalidArgument, "id is 0");
  ExecuteRequest copy{.id = execute.id(),
                      .cache_key = execute.cache_key(),
                      .messages = {},
                      .raw = execute.raw(),
                      .max_tokens = execute.max_tokens(),
                      .temperature = execute.temperature(),
                      .top_p = execute.top_p(),
                      .top_k = execute.top_k(),
                      .min_p = execute.min_p(),
                      .repeat_penalty = execute.repeat_penalty(),
                      .seed = execute.seed(),
                      .stop = {},
                      .deadline_ms = execute.deadline_ms(),
                      .frequency_penalty = execute.frequency_penalty(),
                      .presence_penalty = execute.presence_penalty(),
                      .logit_bias = {},
                      .grammar = {},
                      .json_schema = {},
                      .only_count = execute.only_count(),
                      .top_logprobs = execute.top_logprobs(),
                      .embed = execute.embed(),
                      .truncate = execute.truncate()};
  SYMBIONT_TRY_STATUS(read_rules(execute, copy));
  SYMBIONT_TRY_STATUS(read_logit_bias(execute, copy));
  SYMBIONT_TRY_STATUS(read_messages(execute, copy));
  SYMBIONT_TRY_STATUS(read_stop(execute, copy));
  return copy;
}

ReadyReport read_ready(const fb::Ready& ready) {
  return {.context_tokens = ready.context_tokens(),
          .vocabulary = ready.vocabulary(),
          .engine = copy_of(ready.engine()),
          .has_template = ready.has_template(),
          .max_sequences = ready.max_sequences(),
          .embedding_size = ready.embedding_size()};
}

DoneReport read_done(const fb::Done& done) {
  return {.id = done.id(),
          .finish = done.finish(),
          .prompt_tokens = done.prompt_tokens(),
          .completion_tokens = done.completion_tokens(),
          .cached_tokens = done.cached_tokens(),
          .prefill_us = done.prefill_us(),
          .decode_us = done.decode_us(),
          .stop = done.stop()};
}

FailureReport read_failed(const fb::Failed& failed) {
  return {.id = failed.id(),
          .kind = failed.kind(),
          .message = copy_of(failed.message()),
          .needed = failed.needed(),
          .limit = failed.limit()};
}

std::vector<Candidate> read_logprobs(const fb::Token& token) {
  std::vector<Candidate> copy;
  if (token.logprobs() == nullptr) return copy;
  for (const fb::Candidate* from : *token.logprobs()) {
    if (from == nullptr) continue;
    if (copy.size() > static_cast<std::size_t>(kMaxTopLogprobs)) break;
    Candidate& candidate = copy.emplace_back();
    candidate.logprob = from->logprob();
    if (from->piece() == nullptr) continue;
    candidate.piece.assign(from->piece()->begin(), from->piece()->end());
    candidate.piece.resize(std::min(candidate.piece.size(), kMaxPieceBytes));
  }
  return copy;
}

std::string_view read_token_text(const fb::Token& token) {
  return view_of(token.text());
}

}  // namespace symbiont::ipc
