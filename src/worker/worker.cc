#include "worker/worker.h"

#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "ipc/channel.h"
#include "ipc/messages.h"
#include "worker/batch_loop.h"
#include "worker/chat_template.h"
#include "worker/llama_engine.h"
#include "worker/openmp.h"
#include "worker/textkit/textkit.h"

namespace symbiont::worker {
namespace {

using ipc::fb::FailureKind;

constexpr int kExitLoadFailed = 1;
constexpr int kExitBroken = 2;
constexpr std::size_t kMaxReasonBytes = 512;

/// The last words of a process that cannot go on, prepared so that they need no memory.
struct LastWords {
  explicit LastWords(ipc::Channel& to) : channel(to), builder(4096) {}
  ipc::Channel& channel;
  ipc::Builder builder;
  std::atomic<bool> said = false;
};
LastWords* g_last_words = nullptr;  // NOLINT: read by handlers that take no context

void say_last_words(FailureKind kind, std::string_view reason) noexcept {
  if (g_last_words == nullptr || g_last_words->said.exchange(true)) return;
  try {
    Failure failure{.kind = kind, .message = std::string(reason.substr(0, kMaxReasonBytes))};
    ipc::encode_failed(g_last_words->builder, failure);
    (void)g_last_words->channel.send(g_last_words->builder).has_value();
  } catch (...) {
    return;  // no memory even for this: the signal that follows says it
  }
}

void on_abort(const Failure& failure) {
  say_last_words(failure.kind, failure.message);
}

[[noreturn]] void on_terminate() {
  try {
    if (const auto current = std::current_exception()) std::rethrow_exception(current);
    say_last_words(FailureKind::Internal, "terminated");
  } catch (const std::bad_alloc&) {
    say_last_words(FailureKind::OutOfMemory, "out of memory");
  } catch (const std::exception& error) {
    say_last_words(FailureKind::Internal, error.what());
  } catch (...) {
    say_last_words(FailureKind::Internal, "terminated by an unknown exception");
  }
  std::abort();
}

/// Whatever a library does only once, it does here, where it may still open files and ask the
/// kernel.
void warm_libraries() {
  LlamaEngine::start_library();
  textkit_silence_panics();
  const TemplateSource source{
      .text = "{{ messages[0].content | trim | tojson }}{{ strftime_now('%Y') }}",
      .bos_token = {},
      .eos_token = {}};
  (void)render_chat(source, {{.role = "user", .content = "x"}}).has_value();
  (void)render_chat({.text = "{{ 1 + }}", .bos_token = {}, .eos_token = {}},
                    {{.role = "user", .content = "x"}})
      .has_value();
  try {
    throw std::runtime_error(fmt::format("the unwinder reads its tables once: {:.3f}", 0.5));
  } catch (const std::runtime_error&) {  // NOLINT(bugprone-empty-catch): thrown for its own sake
  }
}

/// After this malloc never calls mremap(2), which lock 2 forbids.
void settle_allocator() {
  ::mallopt(M_MMAP_MAX, 0);  // NOLINT(concurrency-mt-unsafe): the pool's threads sleep
}

Outcome<std::unique_ptr<LlamaEngine>> load_engine(ipc::Channel& channel,
                                                  ipc::Builder& builder,
                                                  UniqueFd model,
                                                  const ipc::LoadRequest& request) {
  int last_percent = -1;
  const auto progress = [&](float fraction) {
    const int percent = static_cast<int>(fraction * 100.0F);
    if (percent == last_percent) return;
    last_percent = percent;
    ipc::encode_progress(builder, fraction);
    (void)channel.send(builder).has_value();  // a closed channel shows at the next receive
  };
  try {
    auto engine = LlamaEngine::load(std::move(model), request, progress);
    if (!engine.has_value()) return engine;
    if (auto warmed = (*engine)->warm_up(); !warmed.has_value()) {
      return std::unexpected(std::move(warmed).error());
    }
    return engine;
  } catch (const std::bad_alloc&) {
    return std::unexpected(
        Failure{.kind = FailureKind::OutOfMemory, .message = "out of memory while loading"});
  } catch (const std::exception& error) {
    return std::unexpected(
        Failure{.kind = FailureKind::ModelInvalid,
                .message = fmt::format("the model cannot be loaded: {}",
                                       std::string_view(error.what()).substr(0, kMaxReasonBytes))});
  }
}

Result<ipc::LoadRequest> receive_load(ipc::Channel& channel, UniqueFd& model) {
  SYMBIONT_TRY(const ipc::fb::Frame* frame, channel.receive(std::nullopt, true));
  const auto* load = frame->body_as_Load();
  model = channel.take_fd();
  if (load == nullptr || !model.is_valid()) {
    return fail(ErrorCode::DataCorrupt, "expected a Load frame with a descriptor");
  }
  return ipc::read_load(*load);
}

Status serve(ipc::Channel& channel, const Locks& locks, bool& load_failed) {
  ipc::Builder builder;
  ipc::encode_locked(builder);
  SYMBIONT_TRY_STATUS(channel.send(builder));
  UniqueFd model;
  SYMBIONT_TRY(const ipc::LoadRequest request, receive_load(channel, model));
  auto engine = load_engine(channel, builder, std::move(model), request);
  if (!engine.has_value()) {
    load_failed = true;
    ipc::encode_failed(builder, engine.error());
    return channel.send(builder);
  }
  settle_allocator();
  settle_openmp();
  const ipc::ReadyReport ready = (*engine)->describe();
  SYMBIONT_TRY_STATUS(locks.before_inference());
  ipc::encode_ready(builder, ready);
  SYMBIONT_TRY_STATUS(channel.send(builder));
  BatchLoop loop(channel, *engine->release());  // never destroyed either
  return loop.run();
}

}  // namespace

int run_worker(UniqueFd control, const Locks& locks) {
  (void)std::signal(SIGPIPE, SIG_IGN);  // NOLINT(cert-err33-c): cannot fail for this signal
  // Never destroyed: lock 2 forbids close(2), and the process ends with the worker.
  auto& channel = *new ipc::Channel(std::move(control));  // NOLINT(cppcoreguidelines-owning-memory)
  channel.use_plain_io();
  g_last_words = new LastWords(channel);  // NOLINT(cppcoreguidelines-owning-memory)
  std::set_terminate(on_terminate);
  LlamaEngine::on_fatal(on_abort);
  warm_libraries();

  Status outcome = locks.before_load();
  bool load_failed = false;
  if (outcome.has_value()) outcome = serve(channel, locks, load_failed);
  if (!outcome.has_value() && outcome.error().code() != ErrorCode::Unavailable) {
    say_last_words(FailureKind::Internal, outcome.error().message());
  }
  if (!outcome.has_value()) return kExitBroken;
  return load_failed ? kExitLoadFailed : EXIT_SUCCESS;
}

}  // namespace symbiont::worker
