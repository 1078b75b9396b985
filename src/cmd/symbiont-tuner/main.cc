// symbiont-tuner FROM TO TYPE: a copy of a model with weights of another type. `symbiont tune`
// starts it inside the sandbox, where it sees the two files and its libraries: the model is not
// trusted.

#include <unistd.h>

#include <string>

#include "base/file.h"
#include "worker/llama_convert.h"

int main(int argc, char** argv) {
  constexpr int kWords = 4;
  constexpr int kUsage = 2;
  if (argc != kWords) {
    (void)symbiont::write_all(STDERR_FILENO, "usage: symbiont-tuner FROM TO TYPE\n", "stderr");
    return kUsage;
  }
  const symbiont::Status done = symbiont::worker::convert_weights(argv[1], argv[2], argv[3]);
  if (done.has_value()) return 0;
  (void)symbiont::write_all(STDERR_FILENO, done.error().message() + "\n", "stderr");
  return 1;
}
