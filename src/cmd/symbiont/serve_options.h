#ifndef SYMBIONT_CMD_SYMBIONT_SERVE_OPTIONS_H_
#define SYMBIONT_CMD_SYMBIONT_SERVE_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "symbiont/slm.h"

#include "cmd/symbiont/exit_codes.h"

namespace symbiont::cli {

/// The command line of `symbiont serve`, as given.
struct ServeOptions {
  std::string config;
  std::string model;  ///< path of a GGUF file
  std::vector<std::string> sets;
  bool degraded = false;
  std::string listen;
  std::string unix_socket;
  std::string keys;
  std::uint32_t drain_seconds = 30;
};

void add_serve_options(CLI::App& command, ServeOptions& options);

/// The configuration to serve: of a file, or made for one model file, with what the command line
/// says about the server on top. Read anew at each call: this is what a reload does.
[[nodiscard]] std::expected<Slm, Failure> load_served(const ServeOptions& options);

/// Whether there is a file that a reload would read.
[[nodiscard]] bool has_config(const ServeOptions& options);

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_SERVE_OPTIONS_H_
