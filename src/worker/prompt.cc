#include "worker/prompt.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace symbiont::worker {
namespace {

using ipc::fb::FailureKind;

Failure overflow(std::size_t needed, std::size_t limit, std::string_view qualifier) {
  return {.kind = FailureKind::ContextOverflow,
          .message = fmt::format("the prompt has {}{} tokens; the context holds {}", qualifier,
                                 needed, limit),
          .needed = needed,
          .limit = limit};
}

bool is_role(std::string_view role) {
  return std::ranges::all_of(role, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

/// Fails early: tokenizing megabytes that cannot fit would take long and cannot be interrupted.
Outcome<void> check_size(const LlamaEngine& engine, const ipc::ExecuteRequest& request) {
  std::size_t bytes = 0;
  for (const ipc::ChatMessage& message : request.messages) {
    if (!is_role(message.role)) {
      return std::unexpected(
          Failure{.kind = FailureKind::InvalidRequest,
                  .message = "a message's role may hold only letters, digits, '_' and '-'"});
    }
    bytes += message.content.size();
  }
  const std::size_t least = bytes / engine.longest_piece();
  const std::size_t context = engine.describe().context_tokens;
  if (least >= context) return std::unexpected(overflow(least, context, "at least "));
  return {};
}

bool holds_control_text(const LlamaEngine& engine, const ipc::ExecuteRequest& request) {
  return std::ranges::any_of(request.messages, [&](const ipc::ChatMessage& message) {
    return engine.tokenize(message.content, true) != engine.tokenize(message.content, false);
  });
}

Outcome<std::vector<TokenId>> tokenize_request(const LlamaEngine& engine,
                                               const ipc::ExecuteRequest& request) {
  if (request.raw) return engine.tokenize(request.messages.front().content, true);
  if (!holds_control_text(engine, request)) {
    auto text = render_chat(engine.chat_template(), request.messages);
    if (!text.has_value()) return std::unexpected(std::move(text).error());
    return engine.tokenize(*text, true);
  }
  auto pieces = render_chat_in_pieces(engine.chat_template(), request.messages);
  if (!pieces.has_value()) return std::unexpected(std::move(pieces).error());
  std::vector<TokenId> tokens;
  for (const PromptPiece& piece : *pieces) {
    const auto part = engine.tokenize(piece.text, piece.from_template);
    tokens.insert(tokens.end(), part.begin(), part.end());
  }
  return tokens;
}

/// As check_size(): more than this cannot fit, whatever the tokens.
std::string_view part_that_may_fit(const LlamaEngine& engine, std::string_view text) {
  return text.substr(0, engine.describe().context_tokens * engine.longest_piece());
}

Outcome<std::vector<TokenId>> tokenize_input(const LlamaEngine& engine,
                                             std::string_view text,
                                             bool truncate) {
  const std::size_t context = engine.describe().context_tokens;
  const std::string_view part = part_that_may_fit(engine, text);
  if (part.size() < text.size() && !truncate)
    return std::unexpected(overflow(text.size() / engine.longest_piece(), context, "at least "));
  std::vector<TokenId> tokens = engine.tokenize(part, false);
  if (tokens.empty()) {
    return std::unexpected(Failure{.kind = FailureKind::InvalidRequest,
                                   .message = "a text has no token of this model"});
  }
  TokenId begin = 0;
  const bool has_begin = engine.begin_token(begin);
  TokenId end = 0;
  const bool has_end = engine.end_token(end);
  const std::size_t marks = std::size_t{has_begin} + std::size_t{has_end};
  if (tokens.size() + marks > context) {
    if (!truncate || marks >= context)
      return std::unexpected(overflow(tokens.size() + marks, context, ""));
    tokens.resize(context - marks);
  }
  if (has_begin) tokens.insert(tokens.begin(), begin);
  if (has_end) tokens.push_back(end);
  return tokens;
}

}  // namespace

Outcome<std::vector<TokenId>> build_prompt(const LlamaEngine& engine,
                                           const ipc::ExecuteRequest& request) {
  if (const auto checked = check_size(engine, request); !checked.has_value()) {
    return std::unexpected(checked.error());
  }
  auto tokens = tokenize_request(engine, request);
  if (!tokens.has_value()) return tokens;
  TokenId begin = 0;
  if (engine.begin_token(begin) && (tokens->empty() || tokens->front() != begin)) {
    tokens->insert(tokens->begin(), begin);
  }
  if (tokens->empty()) {
    return std::unexpected(
        Failure{.kind = FailureKind::InvalidRequest, .message = "the prompt is empty"});
  }
  const std::size_t context = engine.describe().context_tokens;
  if (tokens->size() >= context) return std::unexpected(overflow(tokens->size(), context, ""));
  return tokens;
}

Outcome<std::vector<std::vector<TokenId>>> build_embedding_inputs(
    const LlamaEngine& engine, const ipc::ExecuteRequest& request) {
  std::vector<std::vector<TokenId>> inputs;
  inputs.reserve(request.messages.size());
  for (const ipc::ChatMessage& message : request.messages) {
    auto tokens = tokenize_input(engine, message.content, request.truncate);
    if (!tokens.has_value()) return std::unexpected(std::move(tokens).error());
    inputs.push_back(std::move(*tokens));
  }
  return inputs;
}

}  // namespace symbiont::worker
