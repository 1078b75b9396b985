#ifndef SYMBIONT_WORKER_LLAMA_ERRORS_H_
#define SYMBIONT_WORKER_LLAMA_ERRORS_H_

// What llama.cpp says about its failures, since its functions return only null. There is one log
// and one abort callback in a process, so what stands behind this is one as well. Threads: any.

#include <string>
#include <string_view>

#include "worker/llama_engine.h"

namespace symbiont::worker {

/// Keeps llama.cpp's error lines from now on; nothing else of its log.
void hear_llama_errors();
/// Before a call whose failure is to be explained.
void forget_llama_errors();
/// The first lines since then, as one of printable ASCII; what a model file says of itself may be
/// in it.
[[nodiscard]] std::string llama_errors();

/// `what` failed, in llama.cpp's own words; OutOfMemory instead of `kind` where they are about
/// that.
[[nodiscard]] Failure failure_from_llama(ipc::fb::FailureKind kind, std::string_view what);

/// `report` is called when llama.cpp is about to abort the process: the model's fault, until
/// blame_engine_for_aborts() has been called.
void on_llama_abort(void (*report)(const Failure& failure));
void blame_engine_for_aborts();

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_LLAMA_ERRORS_H_
