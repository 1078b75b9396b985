#include "runners/conformance.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/core.h>

#include "runners/conformance_checks.h"
#include "runners/conformance_kit.h"

namespace symbiont::conformance {
namespace {

using std::chrono::steady_clock;

/// False: what the check looks at has been seen by then, or must not be another engine.
bool wants_engine(const Check& check) {
  constexpr std::array<std::string_view, 3> kWithout = {"after-cancel", "done", "output"};
  return std::ranges::find(kWithout, check.name) == kWithout.end();
}

Finding look(const Check& check, Kit& kit, const std::vector<CheckResult>& before) {
  const auto needed = std::ranges::find(before, check.needs, &CheckResult::name);
  if (needed != before.end() && needed->outcome != Outcome::Ok)
    return skipped(fmt::format("it needs '{}'", check.needs));
  if (wants_engine(check)) {
    Finding started = kit.ensure_engine();
    if (started.outcome == Outcome::Fail) return started;
  }
  return check.look(kit);
}

}  // namespace

std::expected<Conformance, SandboxError> run_checks(const StartEngine& start,
                                                    const Bounds& bounds,
                                                    const OnResult& on_result) {
  Kit kit(start, bounds);
  Conformance out;
  for (const Check& check : all_checks()) {
    const auto begin = steady_clock::now();
    Finding finding = look(check, kit, out.results);
    if (kit.start_error().has_value()) return std::unexpected(*kit.start_error());
    out.results.push_back(
        {.name = check.name,
         .rule = check.rule,
         .outcome = finding.outcome,
         .detail = std::move(finding.detail),
         .remedy = std::move(finding.remedy),
         .elapsed = std::chrono::ceil<std::chrono::milliseconds>(steady_clock::now() - begin)});
    if (on_result) on_result(out.results.back());
  }
  out.engine = kit.ready();
  out.controls = kit.controls();
  return out;
}

std::vector<std::string_view> check_names() {
  std::vector<std::string_view> names;
  for (const Check& check : all_checks())
    names.push_back(check.name);
  return names;
}

}  // namespace symbiont::conformance
