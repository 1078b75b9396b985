#include "worker/openmp.h"

#include "worker/team.h"

namespace symbiont::worker {
namespace {

Team& team() {
  // Never destroyed: its threads may still wait when the process exits.
  static Team& only = *new Team;  // NOLINT(cppcoreguidelines-owning-memory)
  return only;
}

}  // namespace

void settle_openmp() {
  team().settle();
}

}  // namespace symbiont::worker

// Names and signatures as in GCC's libgomp/libgomp_g.h and omp.h.
// NOLINTBEGIN(readability-identifier-naming)
extern "C" {
#pragma GCC visibility push(default)

void GOMP_parallel(void (*work)(void*), void* data, unsigned threads, unsigned flags);
void GOMP_barrier();
bool GOMP_single_start();
int omp_get_num_threads();
int omp_get_thread_num();

/// `threads` 0: the number is ours to choose; llama.cpp asks so only where it needs no more.
void GOMP_parallel(void (*work)(void*), void* data, unsigned threads, unsigned /*flags*/) {
  symbiont::worker::team().run(threads, work, data);
}
void GOMP_barrier() {
  symbiont::worker::Team::barrier();
}
bool GOMP_single_start() {
  return symbiont::worker::Team::is_first();
}
int omp_get_num_threads() {
  return static_cast<int>(symbiont::worker::Team::size());
}
int omp_get_thread_num() {
  return static_cast<int>(symbiont::worker::Team::number());
}

#pragma GCC visibility pop
}  // extern "C"
// NOLINTEND(readability-identifier-naming)
