#include "cmd/symbiont/sandbox_options.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "base/strings.h"
#include "cmd/symbiont/options.h"
#include "cmd/symbiont/sandbox_fields.h"
#include "cmd/symbiont/terminal.h"

namespace symbiont::cli {
namespace {

constexpr std::string_view kBuiltInProfile = "secure";
constexpr const char* kStartGroup = "How it starts";

void add_list(CLI::App& command,
              const char* name,
              std::vector<std::string>& into,
              const char* text,
              const char* type,
              const char* group) {
  command.add_option(name, into, text)->type_name(type)->allow_extra_args(false)->group(group);
}

Failure no_such_profile(std::string_view name, const Slm& slm) {
  std::vector<std::string_view> names = {kBuiltInProfile};
  for (const auto& [known, profile] : slm.sandbox_profiles)
    names.emplace_back(known);
  const std::string_view near = closest_match(name, names);
  return {ExitCode::Configuration, "SandboxProfileNotFound",
          fmt::format("there is no sandbox profile {}", symbiont::quoted(name)),
          near.empty() ? "profiles are [slm.sandbox_profiles.NAME] in the configuration; 'secure' "
                         "is built in"
                       : fmt::format("did you mean '{}'?", near)};
}

/// A configuration is read when it is named, or when a profile may be in it.
std::expected<SandboxProfile, Failure> find_profile(const SandboxFlags& flags, bool& strict) {
  if (flags.config.empty() && flags.profile.empty()) return SandboxProfile{};
  if (find_config(flags.config).empty()) {
    if (flags.profile == kBuiltInProfile) return SandboxProfile{};
    Failure failure = no_such_profile(flags.profile, Slm{});
    failure.message += ": there is no configuration";
    failure.hint = "name a file with --config; without --profile the built-in 'secure' is used";
    return std::unexpected(std::move(failure));
  }
  SYMBIONT_TRY(const Slm slm, load_config(flags.config));
  strict = slm.enforcement == Enforcement::Strict;
  const std::string& name = flags.profile.empty() ? slm.default_sandbox_profile : flags.profile;
  const auto found = slm.sandbox_profiles.find(name);
  if (found != slm.sandbox_profiles.end()) return found->second;
  if (name == kBuiltInProfile) return SandboxProfile{};
  return std::unexpected(no_such_profile(name, slm));
}

std::expected<void, Failure> add_paths(std::string_view option,
                                       const std::vector<std::string>& texts,
                                       std::vector<std::filesystem::path>& into) {
  for (const std::string& text : texts) {
    SYMBIONT_TRY(std::filesystem::path path, absolute_path(option, text));
    into.push_back(std::move(path));
  }
  return {};
}

std::expected<void, Failure> apply_timeout(SandboxProfile& profile, const std::string& text) {
  if (text.empty()) return {};
  const auto time = parse_duration(text);
  if (!time.has_value() || time->count() % 1000 != 0) {
    return std::unexpected(
        usage_failure(fmt::format("--timeout: {} is not a time of whole seconds above zero",
                                  symbiont::quoted(text)),
                      "write 30, 30s, 2m or 1h"));
  }
  auto set = set_any_field(
      profile, fmt::format("process_limits.max_execution_time_seconds={}", time->count() / 1000));
  if (set.has_value()) return {};
  Failure failure = std::move(set).error();
  failure.message =
      fmt::format("--timeout {}: {}", text, failure.message.substr(failure.message.find(": ") + 2));
  return std::unexpected(std::move(failure));
}

std::expected<void, Failure> apply_flags(SandboxProfile& profile, const SandboxFlags& flags) {
  for (const std::string& assignment : flags.sets)
    SYMBIONT_TRY_STATUS(set_any_field(profile, assignment));
  SYMBIONT_TRY_STATUS(add_paths("--read", flags.reads, profile.filesystem.read_paths));
  SYMBIONT_TRY_STATUS(add_paths("--write", flags.writes, profile.filesystem.write_paths));
  SYMBIONT_TRY_STATUS(add_paths("--deny", flags.denies, profile.filesystem.denied_paths));
  if (flags.temporary) profile.filesystem.allow_temp_files = true;
  SYMBIONT_TRY_STATUS(apply_network(profile, flags.networks));
  return apply_timeout(profile, flags.timeout);
}

/// NAME=VALUE as it is, NAME with the value it has here.
std::expected<std::string, Failure> environment_entry(const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  if (name.empty()) {
    return std::unexpected(usage_failure(
        fmt::format("--env: {} has no name", symbiont::quoted(text)), "as in --env LANG=C"));
  }
  if (equals != std::string::npos) return text;
  const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): no thread yet
  if (value == nullptr) {
    return std::unexpected(
        usage_failure(fmt::format("--env: {} is not set here", symbiont::quoted(name)),
                      "give it a value: --env NAME=VALUE"));
  }
  return name + "=" + value;
}

}  // namespace

void add_profile_options(CLI::App& command, SandboxFlags& flags) {
  command
      .add_option("--config", flags.config,
                  "configuration file with profiles; with --profile alone it is looked for as "
                  "'symbiont run' does")
      ->type_name("FILE");
  command
      .add_option("--profile", flags.profile,
                  "sandbox profile [the default of --config, else the built-in 'secure']")
      ->type_name("NAME");
  const char* allow = "What it may use";
  add_list(command, "--read", flags.reads, "let it read this file or folder; repeatable", "PATH",
           allow);
  add_list(command, "--write", flags.writes, "let it read and change it; repeatable", "PATH",
           allow);
  add_list(command, "--deny", flags.denies, "hide it, also inside an allowed folder; repeatable",
           "PATH", allow);
  command.add_flag("--tmp", flags.temporary, "give it an empty /tmp of its own")->group(allow);
  add_list(command, "--net", flags.networks,
           "none, full, or HOST:PORT[/tcp|http|https], nothing else; repeatable", "WHERE", allow);
  command.add_option("--timeout", flags.timeout, "end it after this time: 30, 30s, 2m, 1h")
      ->type_name("TIME")
      ->group(allow);
  add_list(command, "--set", flags.sets,
           "change one field of the profile: resources.max_memory_mb=64, "
           "'filesystem.read_paths=[\"/data\"]'; repeatable",
           "FIELD=VALUE", allow);
  command
      .add_flag("--degraded", flags.degraded,
                "run even when this host cannot enforce a control (a warning names it)")
      ->group(kStartGroup);
  command.add_flag("-q,--quiet", flags.quiet, "no warnings");
}

void add_sandbox_options(CLI::App& command, SandboxFlags& flags) {
  add_profile_options(command, flags);
  add_list(command, "--env", flags.environment,
           "set a variable, or hand on the one of this name; repeatable", "NAME[=VALUE]",
           kStartGroup);
  command.add_option("--chdir", flags.chdir, "working directory [this one if visible, else /]")
      ->type_name("DIR")
      ->group(kStartGroup);
}

void add_program_help(CLI::App& command) {
  const auto ignore = [](const std::vector<std::string>& /*words*/) { return true; };
  command
      .add_option("program", ignore, "the program and its arguments, last; '--' before is optional")
      ->type_name("WORD");
}

std::expected<SandboxPlan, Failure> make_plan(const SandboxFlags& flags,
                                              const std::vector<std::string>& program) {
  SandboxPlan plan;
  SYMBIONT_TRY(plan.profile, find_profile(flags, plan.options.strict));
  SYMBIONT_TRY_STATUS(apply_flags(plan.profile, flags));
  if (flags.degraded) plan.options.strict = false;
  plan.options.report_files = !flags.no_file_report;
  plan.command.argv = program;
  for (const std::string& text : flags.environment) {
    SYMBIONT_TRY(std::string entry, environment_entry(text));
    plan.command.environment.push_back(std::move(entry));
  }
  if (!flags.chdir.empty()) {
    SYMBIONT_TRY(plan.command.working_directory, absolute_path("--chdir", flags.chdir));
  }
  return plan;
}

Failure to_failure(const SandboxError& error) {
  switch (error.kind) {
    case SandboxError::Kind::InvalidInput:
      return {ExitCode::Usage, "InvalidInput", error.message,
              "'symbiont sandbox exec --help' shows the options, with examples"};
    case SandboxError::Kind::ControlUnavailable:
      return {ExitCode::ControlUnavailable, "ControlUnavailable", error.message,
              "'symbiont doctor' says what would help; --degraded runs with what is held in part"};
    case SandboxError::Kind::SetupFailed:
      break;
  }
  return {ExitCode::Other, "SetupFailed", error.message,
          "'symbiont doctor' shows what this host can enforce"};
}

void warn_of_profile(const SandboxProfile& profile) {
  const NetworkPolicy& network = profile.network;
  if (network.access_mode == NetworkAccessMode::Full) {
    print_warning("FULL NETWORK ACCESS: the program reaches everything that this host reaches");
  } else if (network.access_mode == NetworkAccessMode::None &&
             !network.allowed_destinations.empty()) {
    print_warning(
        "network.allowed_destinations has no effect while network.access_mode is None; set it to "
        "Restricted");
  }
}

void warn_of_controls(const ControlReport& controls) {
  for (const auto& [name, control] : controls) {
    if (control.state == ControlState::Enforced) continue;
    const bool partly = control.state == ControlState::Degraded;
    print_warning(fmt::format("{} is {}: {}", name,
                              partly ? "enforced in part only" : "not enforced", control.detail));
  }
}

}  // namespace symbiont::cli
