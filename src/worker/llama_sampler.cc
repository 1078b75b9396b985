#include "worker/llama_sampler.h"

#include <llama.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace symbiont::worker {
namespace {

using ipc::fb::FailureKind;

constexpr std::int32_t kPenaltyWindow = 64;
constexpr std::uint32_t kRandomSeed =
    0xFFFFFFFF;  // to llama.cpp: ask the system, which is not there

struct SamplerDeleter {
  void operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }
};
using SamplerPtr = std::unique_ptr<llama_sampler, SamplerDeleter>;

/// llama.cpp's own grammars.
class GbnfGrammar final : public Grammar {
 public:
  GbnfGrammar(SamplerPtr rules, std::size_t vocabulary)
      : rules_(std::move(rules)), candidates_(vocabulary) {}

  bool allows(TokenId token) override {
    llama_token_data one{token, 1.0F, 0.0F};
    llama_token_data_array alone{&one, 1, -1, false};
    llama_sampler_apply(rules_.get(), &alone);
    return !std::isinf(one.logit);
  }
  void allowed(std::vector<bool>& tokens) override {
    for (std::size_t token = 0; token < candidates_.size(); ++token)
      candidates_[token] = {static_cast<TokenId>(token), 1.0F, 0.0F};
    llama_token_data_array all{candidates_.data(), candidates_.size(), -1, false};
    llama_sampler_apply(rules_.get(), &all);
    for (std::size_t i = 0; i < all.size; ++i)
      tokens[static_cast<std::size_t>(all.data[i].id)] = !std::isinf(all.data[i].logit);
  }
  void accept(TokenId token) override { llama_sampler_accept(rules_.get(), token); }

 private:
  SamplerPtr rules_;
  std::vector<llama_token_data> candidates_;
};

class ChainSampler final : public Sampler {
 public:
  ChainSampler(llama_context* context,
               std::int32_t vocabulary,
               SamplerPtr chain,
               std::unique_ptr<Grammar> grammar)
      : context_(context),
        vocabulary_(static_cast<std::size_t>(vocabulary)),
        chain_(std::move(chain)),
        grammar_(std::move(grammar)) {}

  /// A grammar looks at the chosen token first: ruling on the whole vocabulary is slow and seldom
  /// needed.
  TokenId sample(std::size_t index) override {
    if (!grammar_) {
      return llama_sampler_sample(chain_.get(), context_, static_cast<std::int32_t>(index));
    }
    TokenId token = choose(index, false);
    if (!grammar_->allows(token)) token = choose(index, true);
    grammar_->accept(token);
    llama_sampler_accept(chain_.get(), token);
    return token;
  }

 private:
  TokenId choose(std::size_t index, bool by_grammar) {
    const float* logits = llama_get_logits_ith(context_, static_cast<std::int32_t>(index));
    allowed_.assign(vocabulary_, true);
    if (by_grammar) grammar_->allowed(allowed_);
    candidates_.clear();
    for (std::size_t token = 0; token < vocabulary_; ++token) {
      if (allowed_[token])
        candidates_.push_back({static_cast<TokenId>(token), logits[token], 0.0F});
    }
    if (candidates_.empty()) throw std::runtime_error("the grammar allows no token");
    llama_token_data_array all{candidates_.data(), candidates_.size(), -1, false};
    llama_sampler_apply(chain_.get(), &all);
    return all.data[all.selected].id;
  }

  llama_context* context_;
  std::size_t vocabulary_;
  SamplerPtr chain_;
  std::unique_ptr<Grammar> grammar_;
  std::vector<bool> allowed_;
  std::vector<llama_token_data> candidates_;
};

std::unexpected<Failure> invalid(std::string message) {
  return std::unexpected(
      Failure{.kind = FailureKind::InvalidRequest, .message = std::move(message)});
}

Outcome<void> add_biases(llama_sampler* chain,
                         std::int32_t vocabulary,
                         const ipc::ExecuteRequest& request) {
  if (request.logit_bias.empty()) return {};
  std::vector<llama_logit_bias> biases;
  biases.reserve(request.logit_bias.size());
  for (const auto& [token, bias] : request.logit_bias) {
    if (token >= static_cast<std::uint32_t>(vocabulary)) {
      return invalid(fmt::format("logit_bias names token {}; the model has {}", token, vocabulary));
    }
    biases.push_back({static_cast<llama_token>(token), bias});
  }
  llama_sampler_chain_add(
      chain, llama_sampler_init_logit_bias(vocabulary, static_cast<std::int32_t>(biases.size()),
                                           biases.data()));
  return {};
}

void add_penalties(llama_sampler* chain,
                   std::int32_t vocabulary,
                   const ipc::ExecuteRequest& request,
                   std::span<const TokenId> prompt) {
  const bool none = request.repeat_penalty == 1.0F && request.frequency_penalty == 0.0F &&
                    request.presence_penalty == 0.0F;
  if (none) return;
  llama_sampler* penalties =
      llama_sampler_init_penalties(vocabulary, kPenaltyWindow, request.repeat_penalty,
                                   request.frequency_penalty, request.presence_penalty);
  for (const TokenId token : prompt.last(std::min<std::size_t>(prompt.size(), kPenaltyWindow)))
    llama_sampler_accept(penalties, token);
  llama_sampler_chain_add(chain, penalties);
}

void add_choice(llama_sampler* chain, const ipc::ExecuteRequest& request) {
  if (request.temperature <= 0.0F) {
    llama_sampler_chain_add(chain, llama_sampler_init_greedy());
    return;
  }
  if (request.top_k > 0) {
    llama_sampler_chain_add(chain,
                            llama_sampler_init_top_k(static_cast<std::int32_t>(request.top_k)));
  }
  if (request.top_p < 1.0F)
    llama_sampler_chain_add(chain, llama_sampler_init_top_p(request.top_p, 1));
  if (request.min_p > 0.0F)
    llama_sampler_chain_add(chain, llama_sampler_init_min_p(request.min_p, 1));
  llama_sampler_chain_add(chain, llama_sampler_init_temp(request.temperature));
  auto seed = static_cast<std::uint32_t>(request.seed ^ (request.seed >> 32U));
  if (seed == kRandomSeed) --seed;
  llama_sampler_chain_add(chain, llama_sampler_init_dist(seed));
}

}  // namespace

Outcome<std::unique_ptr<Sampler>> make_llama_sampler(llama_context* context,
                                                     const llama_vocab* vocab,
                                                     const ipc::ExecuteRequest& request,
                                                     std::span<const TokenId> prompt,
                                                     std::unique_ptr<Grammar> grammar) {
  const std::int32_t vocabulary = llama_vocab_n_tokens(vocab);
  if (!request.grammar.empty()) {
    SamplerPtr rules(llama_sampler_init_grammar(vocab, request.grammar.c_str(), "root"));
    if (!rules) return invalid("the grammar cannot be parsed, or has no rule 'root'");
    grammar = std::make_unique<GbnfGrammar>(std::move(rules), static_cast<std::size_t>(vocabulary));
  }
  llama_sampler_chain_params params = llama_sampler_chain_default_params();
  params.no_perf = true;
  SamplerPtr chain(llama_sampler_chain_init(params));
  auto biased = add_biases(chain.get(), vocabulary, request);
  if (!biased.has_value()) return std::unexpected(std::move(biased).error());
  add_penalties(chain.get(), vocabulary, request, prompt);
  add_choice(chain.get(), request);
  return std::make_unique<ChainSampler>(context, vocabulary, std::move(chain), std::move(grammar));
}

std::vector<TokenProbability> probabilities(std::span<const float> logits,
                                            TokenId chosen,
                                            std::size_t top) {
  const float most = *std::ranges::max_element(logits);
  const double sum = std::accumulate(logits.begin(), logits.end(), 0.0, [most](double s, float l) {
    return s + std::exp(static_cast<double>(l - most));
  });
  const auto log_sum = static_cast<float>(std::log(sum));
  const auto at = [&](TokenId token) {
    return TokenProbability{token, logits[static_cast<std::size_t>(token)] - most - log_sum};
  };
  std::vector<TokenProbability> found = {at(chosen)};
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  top = std::min(top, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(top), order.end(),
                    [&](TokenId a, TokenId b) {
                      return logits[static_cast<std::size_t>(a)] >
                             logits[static_cast<std::size_t>(b)];
                    });
  for (std::size_t i = 0; i < top; ++i)
    found.push_back(at(order[i]));
  return found;
}

}  // namespace symbiont::worker
