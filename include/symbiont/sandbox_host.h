#ifndef SYMBIONT_SANDBOX_HOST_H_
#define SYMBIONT_SANDBOX_HOST_H_

#include <filesystem>
#include <memory>

namespace symbiont {

/// The connection to one symbiont-launcher process, which starts the confined workers. Share one
/// between runners; a runner without one makes its own. Starts nothing before the first worker.
/// Threads: may be shared freely.
class SandboxHost {
 public:
  /// `program_directory` holds symbiont-launcher and symbiont-worker; empty: beside this
  /// executable, else $SYMBIONT_BIN_DIR, else the install prefix.
  [[nodiscard]] static std::shared_ptr<SandboxHost> create(
      std::filesystem::path program_directory = {});
  SandboxHost(const SandboxHost&) = delete;
  SandboxHost& operator=(const SandboxHost&) = delete;
  ~SandboxHost();

  struct Impl;
  [[nodiscard]] Impl& impl() { return *impl_; }  ///< for the library's own use

 private:
  explicit SandboxHost(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace symbiont

#endif  // SYMBIONT_SANDBOX_HOST_H_
