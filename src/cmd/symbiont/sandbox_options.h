#ifndef SYMBIONT_CMD_SYMBIONT_SANDBOX_OPTIONS_H_
#define SYMBIONT_CMD_SYMBIONT_SANDBOX_OPTIONS_H_

// What `symbiont sandbox exec`, `symbiont sandbox proof` and `symbiont runner test` share: options,
// the profile and command they make, and failures of a start.

#include <expected>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "symbiont/sandbox.h"

#include "cmd/symbiont/exit_codes.h"

namespace symbiont::cli {

/// As given.
struct SandboxFlags {
  std::string config;
  std::string profile;
  std::vector<std::string> sets;
  std::vector<std::string> reads;
  std::vector<std::string> writes;
  std::vector<std::string> denies;
  std::vector<std::string> networks;
  std::vector<std::string> environment;
  std::string chdir;
  std::string timeout;
  bool temporary = false;
  bool degraded = false;
  bool no_file_report = false;
  bool quiet = false;
};

/// Everything a start needs but descriptors.
struct SandboxPlan {
  SandboxProfile profile;
  SandboxCommand command;
  SandboxOptions options;
};

/// Those that make the profile, and --degraded and --quiet.
void add_profile_options(CLI::App& command, SandboxFlags& flags);
/// Those and the program's environment and directory.
void add_sandbox_options(CLI::App& command, SandboxFlags& flags);
/// Shows the program in the help. It never gets there: see take_program().
void add_program_help(CLI::App& command);

/// Finds the profile, changes it as the flags say, and reads environment and directory.
[[nodiscard]] std::expected<SandboxPlan, Failure> make_plan(
    const SandboxFlags& flags, const std::vector<std::string>& program);

[[nodiscard]] Failure to_failure(const SandboxError& error);

/// Warns of a full network, of destinations without effect, and of controls not in force.
void warn_of_profile(const SandboxProfile& profile);
void warn_of_controls(const ControlReport& controls);

}  // namespace symbiont::cli

#endif  // SYMBIONT_CMD_SYMBIONT_SANDBOX_OPTIONS_H_
