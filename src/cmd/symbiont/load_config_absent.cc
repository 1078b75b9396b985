// A build without src/config: model files run, configurations do not.

#include "cmd/symbiont/options.h"

namespace symbiont::cli {

std::expected<Slm, Failure> load_config(const std::string&) {
  return std::unexpected(Failure{ExitCode::Configuration, "InvalidConfig",
                                 "this build reads no configuration files",
                                 "a model file needs none: --model PATH"});
}

}  // namespace symbiont::cli
