#include "api/openai/logprobs.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace symbiont::api::openai {
namespace {

// JSON has no infinity: what cannot be is as unlikely as OpenAI says it, too.
constexpr float kLeastLogprob = -9999.0F;

float shown(float logprob) {
  return std::max(logprob, kLeastLogprob);
}

Json describe(const TokenProbability& token) {
  return {{"token", token.token},
          {"logprob", shown(token.logprob)},
          {"bytes", std::vector<std::uint8_t>(token.token.begin(), token.token.end())}};
}

}  // namespace

Json chat_logprobs(std::span<const TokenLogprobs> tokens) {
  if (tokens.empty()) return nullptr;
  Json content = Json::array();
  for (const TokenLogprobs& token : tokens) {
    Json item = describe(token.chosen);
    item["top_logprobs"] = Json::array();
    for (const TokenProbability& likely : token.top)
      item["top_logprobs"].push_back(describe(likely));
    content.push_back(std::move(item));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json text_logprobs(std::span<const TokenLogprobs> tokens, std::size_t offset) {
  if (tokens.empty()) return nullptr;
  Json pieces = Json::array();
  Json chosen = Json::array();
  Json top = Json::array();
  Json offsets = Json::array();
  for (const TokenLogprobs& token : tokens) {
    pieces.push_back(token.chosen.token);
    chosen.push_back(shown(token.chosen.logprob));
    Json likely = Json::object();
    for (const TokenProbability& one : token.top)
      likely[one.token] = shown(one.logprob);
    top.push_back(std::move(likely));
    offsets.push_back(offset);
    offset += token.chosen.token.size();
  }
  return {{"tokens", std::move(pieces)},
          {"token_logprobs", std::move(chosen)},
          {"top_logprobs", std::move(top)},
          {"text_offset", std::move(offsets)}};
}

}  // namespace symbiont::api::openai
