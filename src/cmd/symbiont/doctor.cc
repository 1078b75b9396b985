// symbiont doctor: what this host can enforce, and what would help.

#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "symbiont/sandbox_profile.h"

#include "base/file.h"
#include "cmd/symbiont/commands.h"
#include "cmd/symbiont/table.h"
#include "observe/json.h"
#include "runners/worker_startup.h"
#include "sandbox/sandbox.h"

namespace symbiont::cli {
namespace {

constexpr std::size_t kMaxProcFile = 64U * 1024U;

std::string first_line_of(const char* path) {
  const auto text = read_file(path, kMaxProcFile);
  if (!text.has_value()) return "";
  return text->substr(0, text->find('\n'));
}

bool exists(const char* path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

std::string cgroup_layout() {
  if (exists("/sys/fs/cgroup/cgroup.controllers"))
    return "v2 (" + first_line_of("/sys/fs/cgroup/cgroup.controllers") + ")";
  if (exists("/sys/fs/cgroup/unified/cgroup.controllers")) return "hybrid (v1 and v2)";
  if (exists("/sys/fs/cgroup/memory")) return "v1";
  return "none mounted";
}

std::string user_namespaces() {
  const std::string most = first_line_of("/proc/sys/user/max_user_namespaces");
  if (most.empty()) return "not in this kernel";
  if (most == "0") return "off (user.max_user_namespaces = 0)";
  if (first_line_of("/proc/sys/kernel/unprivileged_userns_clone") == "0")
    return "root only (kernel.unprivileged_userns_clone = 0)";
  if (first_line_of("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1")
    return "restricted by AppArmor";
  return "allowed, at most " + most;
}

struct Fact {
  std::string name;
  std::string value;
};

std::vector<Fact> host_facts(const ControlReport& controls) {
  const auto files = controls.find("filesystem");
  const bool usable = files != controls.end() && files->second.state == ControlState::Enforced;
  utsname name = {};
  const bool known = ::uname(&name) == 0;
  return {
      {"kernel", known ? std::string(name.release) : "unknown"},
      {"machine", known ? std::string(name.machine) : "unknown"},
      {"user", ::geteuid() == 0 ? "root" : fmt::format("uid {}", ::geteuid())},
      {"cgroup", cgroup_layout()},
      {"user_namespaces", usable ? user_namespaces() : user_namespaces() + "; none could be made"},
      {"lsm", first_line_of("/sys/kernel/security/lsm")}};
}

/// A worker started for a try: whether what the table says holds together.
struct Trial {
  bool works = false;
  bool strict = true;
  std::string text;
};

Trial try_worker(sandbox::Policy policy, bool strict) {
  policy.strict = strict;
  const std::unique_ptr<sandbox::Launcher> launcher = sandbox::make_launcher();
  const auto took = try_start(*launcher, policy);
  if (!took.has_value()) return {false, strict, took.error().message()};
  return {true, strict,
          fmt::format("a worker{} was locked in and looked at from outside in {} ms",
                      strict ? "" : " with --degraded", took->count())};
}

std::string print_json(const ControlReport& controls,
                       const Trial& trial,
                       const std::vector<std::string>& missing) {
  observe::Json host = observe::Json::object();
  for (const Fact& fact : host_facts(controls))
    host[fact.name] = fact.value;
  observe::Json json = {
      {"default_profile_enforceable", missing.empty() && trial.works},
      {"missing", missing},
      {"host", std::move(host)},
      {"trial", {{"works", trial.works}, {"strict", trial.strict}, {"message", trial.text}}},
      {"controls", observe::to_json(controls)}};
  for (const auto& [control_name, control] : controls) {
    if (!control.remedy.empty()) json["controls"][control_name]["remedy"] = control.remedy;
  }
  return observe::dump(json) + "\n";
}

Paint paint_of(ControlState state) {
  switch (state) {
    case ControlState::Enforced:
      return Paint::Green;
    case ControlState::Degraded:
      return Paint::Yellow;
    case ControlState::Unavailable:
      return Paint::Red;
  }
  return Paint::None;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string conclusion(const ControlReport& controls,
                       const Trial& trial,
                       const std::vector<std::string>& missing,
                       bool colour) {
  if (!missing.empty()) {
    return painted(Paint::Red,
                   fmt::format("The default profile cannot be enforced: {}.", joined(missing)),
                   colour);
  }
  if (!trial.works) return painted(Paint::Red, "No worker can be started on this host.", colour);
  std::vector<std::string> in_part;  // second lines, without which a strict start goes on
  for (const auto& [name, control] : controls) {
    if (control.state != ControlState::Enforced) in_part.push_back(name);
  }
  if (!in_part.empty()) {
    return painted(Paint::Yellow,
                   fmt::format("The default profile is enforced on this host, without all of what "
                               "stands behind it: {}.",
                               joined(in_part)),
                   colour);
  }
  return painted(Paint::Green, "The default profile is enforced in full on this host.", colour);
}

std::string print_text(const ControlReport& controls,
                       const Trial& trial,
                       const std::vector<std::string>& missing) {
  const bool colour = wants_colour(STDOUT_FILENO);
  Table facts({});
  for (const Fact& fact : host_facts(controls))
    facts.add({{fact.name, Paint::Dim}, {fact.value.empty() ? "unknown" : fact.value}});
  Table table({"CONTROL", "STATE", "HOW, OR WHY NOT"});
  Table remedies({});
  bool has_remedies = false;
  for (const auto& [name, control] : controls) {
    table.add({{name},
               {std::string(to_string(control.state)), paint_of(control.state)},
               {control.detail}});
    if (control.remedy.empty()) continue;
    remedies.add({{"  " + name + ":"}, {control.remedy}});
    has_remedies = true;
  }
  std::string out = facts.to_string(colour) + "\n" + table.to_string(colour) + "\n";
  if (has_remedies) {
    out +=
        painted(Paint::Bold, "What would help", colour) + "\n" + remedies.to_string(colour) + "\n";
  }
  out += fmt::format("trial  {}\n\n", trial.text);
  return out + conclusion(controls, trial, missing, colour) + "\n";
}

/// Controls that refuse a strict start under the default profile.
std::vector<std::string> missing_controls(const ControlReport& controls) {
  std::vector<std::string> missing;
  for (const auto& [name, control] : controls) {
    if (control.state != ControlState::Enforced && sandbox::is_required(name))
      missing.push_back(name);
  }
  return missing;
}

int doctor(bool json) {
  const auto worker = sandbox::find_program("symbiont-worker");
  if (!worker.has_value()) return report(to_failure(worker.error()), json);
  const sandbox::Policy policy = sandbox::worker_policy(SandboxProfile{}, *worker, true);
  const auto probed = sandbox::probe_host(policy);
  if (!probed.has_value()) return report(to_failure(probed.error()), json);
  const ControlReport& controls = *probed;
  const std::vector<std::string> missing = missing_controls(controls);
  const Trial trial = try_worker(policy, missing.empty());
  const bool enforceable = missing.empty() && trial.works;
  const Status written = write_stdout(json ? print_json(controls, trial, missing)
                                           : print_text(controls, trial, missing));
  if (!written.has_value()) return to_int(ExitCode::ReaderGone);
  return to_int(enforceable ? ExitCode::Ok : ExitCode::ControlUnavailable);
}

}  // namespace

void add_doctor(CLI::App& app, Action& action) {
  auto json = std::make_shared<bool>(false);
  CLI::App* sub = app.add_subcommand("doctor", "Show which controls this host can enforce");
  sub->add_flag("--json", *json, "as one JSON object");
  sub->footer(
      "Exits with 8 when the default profile cannot be enforced.\n\n"
      "Examples:\n  symbiont doctor\n  symbiont doctor --json | jq .controls.memory");
  sub->callback([json, &action] { action = [json] { return doctor(*json); }; });
}

}  // namespace symbiont::cli
