#ifndef SYMBIONT_WORKER_OPENMP_H_
#define SYMBIONT_WORKER_OPENMP_H_

// A team in the place of libgomp: the program's own GOMP_* and omp_* are found before the
// library's, so llama.cpp's parallel sections come here. A llama.cpp that was built without OpenMP
// or for another runtime does not notice. Only what computing a graph needs is replaced: of
// libraries that use more of OpenMP (ggml's quantization does) nothing may be called.

namespace symbiont::worker {

/// From now on no thread is added: before the last lock, which forbids it.
void settle_openmp();

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_OPENMP_H_
