#include "sandbox/lockdown.h"

#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "sandbox/confine.h"
#include "sandbox/landlock.h"
#include "sandbox/lockdown_spec.h"
#include "sandbox/seccomp_filter.h"

namespace symbiont::sandbox {
namespace {

Status step(const char* failed) {
  if (failed == nullptr) return {};
  return fail(errno_error(failed));
}

Status install(const LockdownSpec& spec, Phase phase) {
  // In a pid namespace of its own there is nobody else to signal.
  const int only_pid = spec.own_namespaces ? 0 : ::getpid();
  const Filter filter =
      build_filter({phase, spec.kill_on_violation, spec.extra_syscalls, only_pid});
  const int result = install_filter(filter);
  if (result < 0) return fail(errno_error("install the system call filter"));
  if (result > 0)
    return fail(ErrorCode::Internal, "a thread could not take the system call filter");
  return {};
}

Result<LockdownSpec> take_spec() {
  const char* text =
      std::getenv(kLockdownVariable);  // NOLINT(concurrency-mt-unsafe): single-threaded by contract
  if (text == nullptr) {
    return fail(ErrorCode::FailedPrecondition,
                "this program is started by symbiont-launcher, not by hand");
  }
  Result<LockdownSpec> spec = decode_lockdown_spec(text);
  // NOLINTNEXTLINE(concurrency-mt-unsafe): single-threaded by contract
  if (::clearenv() != 0) return fail(ErrorCode::Internal, "cannot clear the environment");
  return spec;
}

}  // namespace

Result<Lockdown> Lockdown::before_load() {
  SYMBIONT_TRY(LockdownSpec spec, take_spec());
  if (::syscall(SYS_close_range, kControlFd + 1, ~0U, 0U) != 0)
    return fail(errno_error("close descriptors"));
  const std::uint64_t size = spec.scratch_bytes > 0 ? spec.scratch_bytes : 4096;
  const std::string mount_data = "size=" + std::to_string(size) +
                                 ",nr_inodes=" + std::to_string(spec.scratch_inodes) + ",mode=0700";
  if (spec.own_namespaces)
    SYMBIONT_TRY_STATUS(step(enter_empty_root(mount_data.c_str(), spec.scratch_bytes == 0)));
  SYMBIONT_TRY_STATUS(step(apply_rlimits(spec)));
  SYMBIONT_TRY_STATUS(step(drop_privileges(spec)));
  if (spec.landlock && landlock_deny_all(-1) != 0) return fail(errno_error("restrict by Landlock"));
  SYMBIONT_TRY_STATUS(install(spec, Phase::Load));
  return Lockdown(std::move(spec));
}

Status Lockdown::before_inference() const {
  return install(spec_, Phase::Inference);
}

}  // namespace symbiont::sandbox
