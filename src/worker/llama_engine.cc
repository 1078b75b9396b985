#include "worker/llama_engine.h"

#include <llama.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "worker/llama_cells.h"
#include "worker/llama_embedding.h"
#include "worker/llama_errors.h"
#include "worker/llama_sampler.h"

namespace symbiont::worker {
namespace {

using ipc::fb::FailureKind;

constexpr std::uint32_t kDefaultContext = 4096;
constexpr std::int32_t kUsualPieceBytes = 32;

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using ModelPtr = std::unique_ptr<llama_model, Deleter<llama_model_free>>;
using ContextPtr = std::unique_ptr<llama_context, Deleter<llama_free>>;
using FilePtr = std::unique_ptr<std::FILE, Deleter<std::fclose>>;

bool report_progress(float fraction, void* context) {
  (*static_cast<const std::function<void(float)>*>(context))(fraction);
  return true;
}

Outcome<ModelPtr> load_model(std::FILE* file,
                             bool use_mmap,
                             const std::function<void(float)>& progress) {
  llama_model_params params = llama_model_default_params();
  params.progress_callback = report_progress;
  params.progress_callback_user_data =
      const_cast<std::function<void(float)>*>(&progress);  // NOLINT
  for (const bool map : {true, false}) {
    if (map && !use_mmap) continue;
    params.load_mode = map ? LLAMA_LOAD_MODE_MMAP : LLAMA_LOAD_MODE_NONE;
    forget_llama_errors();
    if (std::fseek(file, 0, SEEK_SET) != 0) break;
    ModelPtr model(llama_model_load_from_file_ptr(file, params));
    if (model) return model;
    if (map && !llama_errors().contains("cannot mmap")) break;
  }
  return std::unexpected(
      failure_from_llama(FailureKind::ModelInvalid, "the model cannot be loaded"));
}

std::string text_of_token(const llama_vocab* vocab, llama_token token, bool control) {
  std::string text(kUsualPieceBytes, '\0');
  const auto size = [&text] { return static_cast<std::int32_t>(text.size()); };
  std::int32_t written = llama_token_to_piece(vocab, token, text.data(), size(), 0, control);
  if (written < 0) {
    text.resize(static_cast<std::size_t>(-written));
    written = llama_token_to_piece(vocab, token, text.data(), size(), 0, control);
  }
  text.resize(static_cast<std::size_t>(std::max(written, 0)));
  return text;
}

std::string text_of_special(const llama_vocab* vocab, llama_token token) {
  return token == LLAMA_TOKEN_NULL ? std::string() : text_of_token(vocab, token, true);
}

/// Bytes of the longest token's text, at least 1.
std::size_t measure_longest(const llama_vocab* vocab) {
  std::array<char, kUsualPieceBytes> text{};
  std::int32_t longest = 1;
  for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); ++token) {
    const std::int32_t written =
        llama_token_to_piece(vocab, token, text.data(), kUsualPieceBytes, 0, true);
    longest = std::max(longest, written < 0 ? -written : written);  // negative: what it would take
  }
  return static_cast<std::size_t>(longest);
}

class Engine final : public LlamaEngine {
 public:
  explicit Engine(ModelPtr model)
      : model_(std::move(model)), vocab_(llama_model_get_vocab(model_.get())) {}
  ~Engine() override { llama_batch_free(batch_); }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  Outcome<void> make_context(const ipc::LoadRequest& load);

  ipc::ReadyReport describe() const override;
  const TemplateSource& chat_template() const override { return template_; }
  Outcome<void> warm_up() override;
  std::vector<TokenId> tokenize(std::string_view text, bool parse_control) const override;
  bool begin_token(TokenId& token) const override;
  bool end_token(TokenId& token) const override;
  bool is_end(TokenId token) const override { return llama_vocab_is_eog(vocab_, token); }
  std::string piece(TokenId token) const override { return text_of_token(vocab_, token, false); }
  std::size_t longest_piece() const override { return longest_piece_; }
  std::size_t cells() const override { return llama_n_ctx(context_.get()); }
  bool forget(std::uint32_t sequence, std::size_t kept) override;
  bool can_share() const override {
    return !llama_model_is_recurrent(model_.get()) && !llama_model_is_hybrid(model_.get());
  }
  void share(std::uint32_t from, std::uint32_t to, std::size_t count) override;
  Outcome<DecodeEnd> decode(std::span<const BatchToken> tokens,
                            Outputs outputs,
                            const Interrupt& interrupt) override;
  Pooling pooling() const override { return *pooling_; }
  std::span<const float> embedding(std::size_t index) const override;
  Outcome<std::unique_ptr<Sampler>> make_sampler(const ipc::ExecuteRequest& request,
                                                 std::span<const TokenId> prompt) override;
  std::vector<ipc::Candidate> logprobs(std::size_t index,
                                       TokenId chosen,
                                       std::size_t top) const override;

 private:
  void fill(std::span<const BatchToken> tokens, Outputs outputs);
  [[nodiscard]] Outcome<void> warm_up_embeddings();
  [[nodiscard]] std::size_t embedding_size() const {
    return pooling_ ? static_cast<std::size_t>(llama_model_n_embd_out(model_.get())) : 0;
  }
  [[nodiscard]] const textkit_vocabulary* list_vocabulary() const;
  [[nodiscard]] llama_memory_t memory() const { return llama_get_memory(context_.get()); }

  ModelPtr model_;
  const llama_vocab* vocab_;
  ContextPtr context_;  // after model_: freed before it
  llama_batch batch_ = llama_batch_init(kMaxBatchTokens, 0, 1);
  TemplateSource template_;
  const textkit_vocabulary* schema_vocabulary_ = nullptr;  // never freed, like the engine itself
  std::size_t longest_piece_ = 1;
  std::optional<Pooling> pooling_;        // none: no embeddings are made
  std::uint32_t context_tokens_ = 0;      // of one sequence at most
  const Interrupt* interrupt_ = nullptr;  // of the decode that runs
};

Outcome<void> Engine::make_context(const ipc::LoadRequest& load) {
  const std::int32_t trained = llama_model_n_ctx_train(model_.get());  // negative: absurd
  const std::uint32_t wanted = load.context_tokens == 0 ? kDefaultContext : load.context_tokens;
  context_tokens_ = trained > 0 ? std::min(wanted, static_cast<std::uint32_t>(trained)) : wanted;
  llama_context_params params = llama_context_default_params();
  params.n_ctx = choose_cells(model_.get(), load, context_tokens_);
  params.n_batch = kMaxBatchTokens;
  params.n_ubatch = kMaxBatchTokens;
  params.n_seq_max = load.max_sequences;
  // Texts are read in pieces: their vectors are put together here, not within one decode.
  if (load.embeddings) {
    params.pooling_type = LLAMA_POOLING_TYPE_NONE;
    pooling_ = pooling_of(model_.get());
  }
  params.kv_unified = true;  // attention skips the cells of other sequences
  params.n_threads = load.threads;
  params.n_threads_batch = load.threads;
  params.no_perf = true;
  params.abort_callback_data = this;
  params.abort_callback = [](void* self) {
    const Interrupt* interrupt = static_cast<Engine*>(self)->interrupt_;
    return interrupt != nullptr && (*interrupt)();
  };
  forget_llama_errors();
  context_.reset(llama_init_from_model(model_.get(), params));
  if (!context_) {
    return std::unexpected(
        failure_from_llama(FailureKind::ModelInvalid, "no context for the model"));
  }
  if (const char* text = llama_model_chat_template(model_.get(), nullptr)) template_.text = text;
  template_.bos_token = text_of_special(vocab_, llama_vocab_bos(vocab_));
  template_.eos_token = text_of_special(vocab_, llama_vocab_eos(vocab_));
  longest_piece_ = measure_longest(vocab_);
  context_tokens_ = std::min(context_tokens_, llama_n_ctx(context_.get()));
  return {};
}

ipc::ReadyReport Engine::describe() const {
  return {.context_tokens = context_tokens_,
          .vocabulary = static_cast<std::uint32_t>(llama_vocab_n_tokens(vocab_)),
          .engine = fmt::format("llama.cpp {}", llama_version()),
          .has_template = !template_.text.empty(),
          .max_sequences = static_cast<std::uint16_t>(llama_n_seq_max(context_.get())),
          .embedding_size = static_cast<std::uint32_t>(embedding_size())};
}

Outcome<void> Engine::warm_up() {
  if (llama_vocab_n_tokens(vocab_) <= 0) {
    return std::unexpected(
        Failure{.kind = FailureKind::ModelInvalid, .message = "the model has no vocabulary"});
  }
  // One decode makes the engine's threads and whatever else a first time makes.
  const TokenId last = llama_vocab_n_tokens(vocab_) - 1;
  std::vector<BatchToken> batch(std::clamp<std::size_t>(context_tokens_, 1, 2));
  std::vector<TokenId> seen;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    batch[i] = {.token = std::min(static_cast<TokenId>(i), last),
                .position = static_cast<std::uint32_t>(i),
                .sequence = 0,
                .wants_logits = i + 1 == batch.size()};
    seen.push_back(batch[i].token);
  }
  const auto decoded = decode(batch, Outputs::Logits, [] { return false; });
  if (!decoded.has_value()) return std::unexpected(decoded.error());
  ipc::ExecuteRequest request;
  request.temperature = 0.8F;
  request.top_p = 0.9F;
  request.top_k = 40;
  request.min_p = 0.05F;
  request.repeat_penalty = 1.1F;
  request.grammar = "root ::= [^x]*";
  auto sampler = make_sampler(request, seen);
  if (!sampler.has_value()) return std::unexpected(std::move(sampler).error());
  (void)piece((*sampler)->sample(batch.size() - 1));
  (void)logprobs(batch.size() - 1, 0, 1);
  (void)tokenize("Warm \xC3\xA4\xE2\x82\xAC 12 up.\n", true);
  (void)forget(0, 0);
  if (pooling_) {
    if (auto warmed = warm_up_embeddings(); !warmed.has_value()) return warmed;
  }
  blame_engine_for_aborts();
  return {};
}

/// The largest decode of its kind: from now on no rows have to be allocated.
Outcome<void> Engine::warm_up_embeddings() {
  std::vector<BatchToken> batch(std::min<std::size_t>(kMaxEmbeddingBatchTokens, context_tokens_));
  for (std::size_t i = 0; i < batch.size(); ++i)
    batch[i].position = static_cast<std::uint32_t>(i);
  const auto decoded = decode(batch, Outputs::Embeddings, [] { return false; });
  if (!decoded.has_value()) return std::unexpected(decoded.error());
  if (embedding(0).empty()) pooling_.reset();
  (void)forget(0, 0);
  return {};
}

std::vector<TokenId> Engine::tokenize(std::string_view text, bool parse_control) const {
  // A token stands for at least one byte, but for what a tokenizer adds in front.
  std::vector<TokenId> tokens(text.size() + 8);
  const auto convert = [&] {
    return llama_tokenize(vocab_, text.data(), static_cast<std::int32_t>(text.size()),
                          tokens.data(), static_cast<std::int32_t>(tokens.size()), false,
                          parse_control);
  };
  std::int32_t count = convert();
  if (count < 0 && count != std::numeric_limits<std::int32_t>::min()) {
    tokens.resize(static_cast<std::size_t>(-count));
    count = convert();
  }
  tokens.resize(static_cast<std::size_t>(std::max(count, 0)));
  return tokens;
}

bool Engine::begin_token(TokenId& token) const {
  token = llama_vocab_bos(vocab_);
  return llama_vocab_get_add_bos(vocab_) && token != LLAMA_TOKEN_NULL;
}

bool Engine::end_token(TokenId& token) const {
  token = llama_vocab_eos(vocab_);
  return llama_vocab_get_add_eos(vocab_) && token != LLAMA_TOKEN_NULL;
}

bool Engine::forget(std::uint32_t sequence, std::size_t kept) {
  const auto id = static_cast<llama_seq_id>(sequence);
  if (llama_memory_seq_rm(memory(), id, static_cast<llama_pos>(kept), -1)) return true;
  // A recurrent state cannot go back.
  if (!llama_memory_seq_rm(memory(), id, -1, -1)) llama_memory_clear(memory(), true);
  return kept == 0;
}

void Engine::share(std::uint32_t from, std::uint32_t to, std::size_t count) {
  llama_memory_seq_cp(memory(), static_cast<llama_seq_id>(from), static_cast<llama_seq_id>(to), 0,
                      static_cast<llama_pos>(count));
}

void Engine::fill(std::span<const BatchToken> tokens, Outputs outputs) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    batch_.token[i] = tokens[i].token;
    batch_.pos[i] = static_cast<llama_pos>(tokens[i].position);
    batch_.n_seq_id[i] = 1;
    batch_.seq_id[i][0] = static_cast<llama_seq_id>(tokens[i].sequence);
    batch_.logits[i] = tokens[i].wants_logits || outputs == Outputs::Embeddings ? 1 : 0;
  }
  batch_.n_tokens = static_cast<std::int32_t>(tokens.size());
}

Outcome<DecodeEnd> Engine::decode(std::span<const BatchToken> tokens,
                                  Outputs outputs,
                                  const Interrupt& interrupt) {
  fill(tokens, outputs);
  llama_set_embeddings(context_.get(), outputs == Outputs::Embeddings);
  forget_llama_errors();
  interrupt_ = &interrupt;
  std::int32_t status = 0;
  try {
    status = llama_decode(context_.get(), batch_);
  } catch (...) {
    interrupt_ = nullptr;
    throw;
  }
  interrupt_ = nullptr;
  constexpr std::int32_t kNoSlot = 1;
  constexpr std::int32_t kAborted = 2;
  if (status == 0) return DecodeEnd::Done;
  if (status == kNoSlot) return DecodeEnd::NoRoom;
  if (status == kAborted) return DecodeEnd::Interrupted;
  return std::unexpected(
      failure_from_llama(FailureKind::Internal, fmt::format("llama_decode returned {}", status)));
}

std::span<const float> Engine::embedding(std::size_t index) const {
  const float* values = llama_get_embeddings_ith(context_.get(), static_cast<std::int32_t>(index));
  return values == nullptr ? std::span<const float>() : std::span(values, embedding_size());
}

Outcome<std::unique_ptr<Sampler>> Engine::make_sampler(const ipc::ExecuteRequest& request,
                                                       std::span<const TokenId> prompt) {
  std::unique_ptr<Grammar> grammar;
  if (!request.json_schema.empty()) {
    if (schema_vocabulary_ == nullptr) schema_vocabulary_ = list_vocabulary();
    auto made = make_schema_grammar(schema_vocabulary_, request.json_schema);
    if (!made.has_value()) return std::unexpected(std::move(made).error());
    grammar = std::move(*made);
  }
  return make_llama_sampler(context_.get(), vocab_, request, prompt, std::move(grammar));
}

const textkit_vocabulary* Engine::list_vocabulary() const {
  std::vector<std::string> pieces;
  for (llama_token token = 0; token < llama_vocab_n_tokens(vocab_); ++token) {
    const bool control = llama_vocab_is_control(vocab_, token) || llama_vocab_is_eog(vocab_, token);
    pieces.push_back((control ? "\xFF" : "") + text_of_token(vocab_, token, true));
  }
  const llama_token turn = llama_vocab_eot(vocab_);
  return make_schema_vocabulary(pieces, turn == LLAMA_TOKEN_NULL ? llama_vocab_eos(vocab_) : turn);
}

std::vector<ipc::Candidate> Engine::logprobs(std::size_t index,
                                             TokenId chosen,
                                             std::size_t top) const {
  const float* logits = llama_get_logits_ith(context_.get(), static_cast<std::int32_t>(index));
  const auto vocabulary = static_cast<std::size_t>(llama_vocab_n_tokens(vocab_));
  std::vector<ipc::Candidate> candidates;
  for (const TokenProbability& found : probabilities({logits, vocabulary}, chosen, top)) {
    std::string bytes = text_of_token(vocab_, found.token, true);
    bytes.resize(std::min(bytes.size(), ipc::kMaxPieceBytes));
    candidates.push_back({std::move(bytes), found.logprob});
  }
  return candidates;
}

}  // namespace

void LlamaEngine::start_library() {
  hear_llama_errors();
  llama_backend_init();
}

void LlamaEngine::on_fatal(void (*report)(const Failure& failure)) {
  on_llama_abort(report);
}

Outcome<std::unique_ptr<LlamaEngine>> LlamaEngine::load(
    UniqueFd model, const ipc::LoadRequest& load, const std::function<void(float)>& progress) {
  FilePtr file(::fdopen(model.get(), "rb"));
  if (!file) {
    return std::unexpected(
        Failure{.message = errno_error("opening the model's descriptor").message()});
  }
  (void)model.release();  // the stream owns it now
  auto loaded = load_model(file.get(), load.use_mmap, progress);
  if (!loaded.has_value()) return std::unexpected(std::move(loaded).error());
  if (llama_model_has_encoder(loaded->get()) || !llama_model_has_decoder(loaded->get())) {
    return std::unexpected(Failure{.kind = FailureKind::ModelInvalid,
                                   .message = "the model does not generate text from text alone"});
  }
  auto engine = std::make_unique<Engine>(std::move(*loaded));
  auto made = engine->make_context(load);
  if (!made.has_value()) return std::unexpected(std::move(made).error());
  return engine;
}

}  // namespace symbiont::worker
