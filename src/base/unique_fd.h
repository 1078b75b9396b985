#ifndef SYMBIONT_BASE_UNIQUE_FD_H_
#define SYMBIONT_BASE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace symbiont {

/// Owns one file descriptor. Move-only; closes on destruction. No conversion to bool, so that
/// descriptor 0 cannot read as "none": ask is_valid().
class [[nodiscard]] UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  [[nodiscard]] bool is_valid() const { return fd_ >= 0; }
  [[nodiscard]] int get() const { return fd_; }
  /// Gives up ownership without closing.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  /// Closes what is held, then owns `fd`. Never retries close(): on Linux the descriptor is gone
  /// even after EINTR.
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace symbiont

#endif  // SYMBIONT_BASE_UNIQUE_FD_H_
