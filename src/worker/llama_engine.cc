#include "worker/llama_engine.h"

#include <llama.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <mutex>
#include <new>
#include <utility>

#include <fmt/format.h>

namespace symbiont::worker {
namespace {

using ipc::fb::FailureKind;

constexpr std::uint32_t kDefaultContext = 4096;
constexpr std::size_t kPrefillChunk = 512;
constexpr std::int32_t kPenaltyWindow = 64;
constexpr std::size_t kMaxLogBytes = 512;
constexpr std::uint32_t kRandomSeed =
    0xFFFFFFFF;  // to llama.cpp: ask the system, which is not there

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using ModelPtr = std::unique_ptr<llama_model, Deleter<llama_model_free>>;
using ContextPtr = std::unique_ptr<llama_context, Deleter<llama_free>>;
using SamplerPtr = std::unique_ptr<llama_sampler, Deleter<llama_sampler_free>>;
using FilePtr = std::unique_ptr<std::FILE, Deleter<std::fclose>>;

/// The first error lines since clear(), bounded: later ones say only that something failed.
class ErrorLog {
 public:
  void clear() {
    const std::lock_guard lock(mutex_);
    size_ = 0;
    last_was_error_ = false;
  }
  void add(ggml_log_level level, std::string_view text) {
    const std::lock_guard lock(mutex_);
    if (level != GGML_LOG_LEVEL_CONT) last_was_error_ = level == GGML_LOG_LEVEL_ERROR;
    if (!last_was_error_) return;
    const std::size_t taken = std::min(text.size(), text_.size() - size_);
    std::copy_n(text.begin(), taken, text_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += taken;
  }
  /// One line, printable ASCII: what a model file says about itself may be in it.
  [[nodiscard]] std::string text() {
    const std::lock_guard lock(mutex_);
    std::string line;
    for (const char c : std::string_view(text_.data(), size_)) {
      if (c == '\n') {
        line += "; ";
      } else {
        line += (c >= 0x20 && c < 0x7f) ? c : '?';
      }
    }
    if (line.ends_with("; ")) line.resize(line.size() - 2);
    return line;
  }

 private:
  std::mutex
      mutex_;  // llama.cpp's threads log too; no thread annotations: std::lock_guard suffices
  std::array<char, kMaxLogBytes> text_{};
  std::size_t size_ = 0;
  bool last_was_error_ = false;
};

ErrorLog& error_log() {
  static ErrorLog log;
  return log;
}

void (*g_fatal_report)(const Failure&) = nullptr;  // NOLINT: llama.cpp's callback takes no context
bool g_loaded = false;                             // NOLINT: as above

bool is_about_memory(std::string_view reason) {
  constexpr std::array<std::string_view, 7> kSigns = {
      "failed to allocate", "unable to allocate",     "insufficient memory", "bad_alloc",
      "not enough memory",  "Cannot allocate memory", "mem_buffer != NULL"};
  return std::ranges::any_of(kSigns, [&](std::string_view sign) { return reason.contains(sign); });
}

/// What went wrong, from llama.cpp's own words: it returns only null.
Failure failure_from_log(FailureKind kind, std::string_view what) {
  const std::string reason = error_log().text();
  return {.kind = is_about_memory(reason) ? FailureKind::OutOfMemory : kind,
          .message = reason.empty() ? std::string(what) : fmt::format("{}: {}", what, reason)};
}

/// llama.cpp is about to abort the process: "DIRECTORY/file.c:LINE: words".
void report_abort(const char* words) {
  if (g_fatal_report == nullptr) return;
  std::string_view reason = words == nullptr ? "no reason given" : words;
  const std::size_t place_end = std::min(reason.find(": "), reason.size());
  const std::size_t slash = reason.substr(0, place_end).rfind('/');
  if (slash != std::string_view::npos) reason.remove_prefix(slash + 1);
  const FailureKind kind = g_loaded ? FailureKind::Internal : FailureKind::ModelInvalid;
  const bool memory = is_about_memory(reason) || is_about_memory(error_log().text());
  g_fatal_report({.kind = memory ? FailureKind::OutOfMemory : kind,
                  .message = fmt::format("the engine gave up: {}", reason)});
}

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
    error_log().clear();
    if (std::fseek(file, 0, SEEK_SET) != 0) break;
    ModelPtr model(llama_model_load_from_file_ptr(file, params));
    if (model) return model;
    if (map && !error_log().text().contains("cannot mmap")) break;
  }
  return std::unexpected(failure_from_log(FailureKind::ModelInvalid, "the model cannot be loaded"));
}

std::string text_of_token(const llama_vocab* vocab, llama_token token, bool control) {
  std::string text(32, '\0');
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

class Engine final : public LlamaEngine {
 public:
  explicit Engine(ModelPtr model)
      : model_(std::move(model)), vocab_(llama_model_get_vocab(model_.get())) {}

  Outcome<void> make_context(const ipc::LoadRequest& load);

  ipc::ReadyReport describe() const override;
  const TemplateSource& chat_template() const override { return template_; }
  Outcome<void> warm_up() override;
  std::vector<TokenId> tokenize(std::string_view text, bool parse_control) const override;
  bool begin_token(TokenId& token) const override;
  bool is_end(TokenId token) const override { return llama_vocab_is_eog(vocab_, token); }
  std::string piece(TokenId token) const override { return text_of_token(vocab_, token, false); }
  std::size_t longest_piece() const override { return longest_piece_; }
  Outcome<std::uint32_t> prefill(std::span<const TokenId> prompt,
                                 const Interrupt& interrupt,
                                 bool& finished) override;
  void start_sampling(const ipc::ExecuteRequest& request, std::span<const TokenId> prompt) override;
  TokenId sample() override { return llama_sampler_sample(sampler_.get(), context_.get(), -1); }
  Outcome<bool> decode(TokenId token, const Interrupt& interrupt) override {
    return append({&token, 1}, interrupt);
  }

 private:
  Outcome<bool> append(std::span<const TokenId> tokens, const Interrupt& interrupt);
  void forget_after(std::size_t kept);
  [[nodiscard]] llama_memory_t memory() const { return llama_get_memory(context_.get()); }

  ModelPtr model_;
  const llama_vocab* vocab_;
  ContextPtr context_;  // after model_: freed before it
  SamplerPtr sampler_;
  TemplateSource template_;
  std::size_t longest_piece_ = 1;
  std::vector<TokenId> held_;             // what the context's memory holds
  const Interrupt* interrupt_ = nullptr;  // of the decode that runs
};

Outcome<void> Engine::make_context(const ipc::LoadRequest& load) {
  const std::int32_t trained = llama_model_n_ctx_train(model_.get());  // negative: absurd
  const std::uint32_t wanted = load.context_tokens == 0 ? kDefaultContext : load.context_tokens;
  llama_context_params params = llama_context_default_params();
  params.n_ctx = trained > 0 ? std::min(wanted, static_cast<std::uint32_t>(trained)) : wanted;
  params.n_batch = kPrefillChunk;
  params.n_ubatch = kPrefillChunk;
  params.n_seq_max = 1;
  params.n_threads = load.threads;
  params.n_threads_batch = load.threads;
  params.no_perf = true;
  params.abort_callback_data = this;
  params.abort_callback = [](void* self) {
    const Interrupt* interrupt = static_cast<Engine*>(self)->interrupt_;
    return interrupt != nullptr && (*interrupt)();
  };
  error_log().clear();
  context_.reset(llama_init_from_model(model_.get(), params));
  if (!context_) {
    return std::unexpected(failure_from_log(FailureKind::ModelInvalid, "no context for the model"));
  }
  if (const char* text = llama_model_chat_template(model_.get(), nullptr)) template_.text = text;
  template_.bos_token = text_of_special(vocab_, llama_vocab_bos(vocab_));
  template_.eos_token = text_of_special(vocab_, llama_vocab_eos(vocab_));
  for (llama_token token = 0; token < llama_vocab_n_tokens(vocab_); ++token) {
    longest_piece_ = std::max(longest_piece_, text_of_token(vocab_, token, true).size());
  }
  held_.reserve(llama_n_ctx(context_.get()));
  return {};
}

ipc::ReadyReport Engine::describe() const {
  return {.context_tokens = llama_n_ctx(context_.get()),
          .vocabulary = static_cast<std::uint32_t>(llama_vocab_n_tokens(vocab_)),
          .engine = fmt::format("llama.cpp {}", llama_version()),
          .has_template = !template_.text.empty()};
}

Outcome<void> Engine::warm_up() {
  const auto count = std::min<std::size_t>(llama_n_ctx(context_.get()) - 1, 8);
  std::vector<TokenId> some(std::max<std::size_t>(count, 1));
  const TokenId vocabulary = llama_vocab_n_tokens(vocab_);
  if (vocabulary <= 0) {
    return std::unexpected(
        Failure{.kind = FailureKind::ModelInvalid, .message = "the model has no vocabulary"});
  }
  for (std::size_t i = 0; i < some.size(); ++i) {
    some[i] = std::min(static_cast<TokenId>(i), vocabulary - 1);
  }
  bool finished = false;
  const auto kept = prefill(some, [] { return false; }, finished);
  if (!kept.has_value()) return std::unexpected(kept.error());
  ipc::ExecuteRequest request;
  request.temperature = 0.8F;
  request.top_k = 40;
  request.top_p = 0.9F;
  request.min_p = 0.05F;
  request.repeat_penalty = 1.1F;
  start_sampling(request, some);
  const TokenId token = sample();
  if (llama_n_ctx(context_.get()) > some.size()) {
    const auto decoded = decode(token, [] { return false; });
    if (!decoded.has_value()) return std::unexpected(decoded.error());
  }
  (void)piece(token);
  (void)tokenize("Warm \xC3\xA4\xE2\x82\xAC 12 up.\n", true);
  forget_after(0);
  g_loaded = true;
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

void Engine::forget_after(std::size_t kept) {
  if (kept < held_.size() || kept == 0) {
    if (!llama_memory_seq_rm(memory(), 0, static_cast<llama_pos>(kept), -1)) {
      llama_memory_clear(memory(), true);  // a recurrent state cannot go back
      kept = 0;
    }
  }
  held_.resize(kept);
}

Outcome<std::uint32_t> Engine::prefill(std::span<const TokenId> prompt,
                                       const Interrupt& interrupt,
                                       bool& finished) {
  finished = false;
  // At least one token is decoded: sampling needs its logits.
  const std::size_t most = std::min(held_.size(), prompt.size() - 1);
  std::size_t kept = 0;
  while (kept < most && held_[kept] == prompt[kept])
    ++kept;
  forget_after(kept);
  kept = held_.size();
  for (std::size_t at = kept; at < prompt.size();) {
    if (interrupt()) return static_cast<std::uint32_t>(kept);
    const auto chunk = prompt.subspan(at, std::min(kPrefillChunk, prompt.size() - at));
    const Outcome<bool> done = append(chunk, interrupt);
    if (!done.has_value()) return std::unexpected(done.error());
    if (!*done) return static_cast<std::uint32_t>(kept);
    at += chunk.size();
  }
  finished = true;
  return static_cast<std::uint32_t>(kept);
}

Outcome<bool> Engine::append(std::span<const TokenId> tokens, const Interrupt& interrupt) {
  error_log().clear();
  interrupt_ = &interrupt;
  std::int32_t status = 0;
  try {
    // llama_batch wants a pointer to non-const and does not write to it.
    status = llama_decode(context_.get(),
                          llama_batch_get_one(const_cast<TokenId*>(tokens.data()),  // NOLINT
                                              static_cast<std::int32_t>(tokens.size())));
  } catch (...) {
    interrupt_ = nullptr;
    forget_after(held_.size());
    throw;
  }
  interrupt_ = nullptr;
  if (status == 0) {
    held_.insert(held_.end(), tokens.begin(), tokens.end());
    return true;
  }
  const std::size_t kept = held_.size();
  held_.resize(kept + 1);  // part of the batch may be in: make forget_after() look
  forget_after(kept);
  if (status == 2) return false;  // the abort callback
  return std::unexpected(
      failure_from_log(FailureKind::Internal, fmt::format("llama_decode returned {}", status)));
}

void Engine::start_sampling(const ipc::ExecuteRequest& request, std::span<const TokenId> prompt) {
  llama_sampler_chain_params params = llama_sampler_chain_default_params();
  params.no_perf = true;
  sampler_.reset(llama_sampler_chain_init(params));
  llama_sampler* chain = sampler_.get();
  if (request.repeat_penalty != 1.0F) {
    llama_sampler* penalties = llama_sampler_init_penalties(
        llama_vocab_n_tokens(vocab_), kPenaltyWindow, request.repeat_penalty, 0.0F, 0.0F);
    const std::size_t window = std::min<std::size_t>(prompt.size(), kPenaltyWindow);
    for (const TokenId token : prompt.last(window))
      llama_sampler_accept(penalties, token);
    llama_sampler_chain_add(chain, penalties);
  }
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

void LlamaEngine::start_library() {
  llama_log_set([](ggml_log_level level, const char* text, void*) { error_log().add(level, text); },
                nullptr);
  llama_backend_init();
}

void LlamaEngine::on_fatal(void (*report)(const Failure& failure)) {
  g_fatal_report = report;
  ggml_set_abort_callback(report_abort);
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
