#ifndef SYMBIONT_RUNNERS_SANDBOX_HOST_IMPL_H_
#define SYMBIONT_RUNNERS_SANDBOX_HOST_IMPL_H_

#include <filesystem>
#include <memory>

#include "symbiont/sandbox_host.h"

#include "sandbox/sandbox.h"

namespace symbiont {

struct SandboxHost::Impl {
  std::shared_ptr<sandbox::Launcher> launcher;
  std::filesystem::path program_directory;
};

}  // namespace symbiont

#endif  // SYMBIONT_RUNNERS_SANDBOX_HOST_IMPL_H_
