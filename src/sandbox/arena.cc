#include "sandbox/arena.h"

#include <sys/mman.h>

#include <utility>

namespace symbiont::sandbox {

Result<SharedArena> SharedArena::create() {
  void* base = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return fail(errno_error("map memory for a child's plan"));
  return SharedArena(static_cast<std::byte*>(base));
}

SharedArena::SharedArena(SharedArena&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      used_(std::exchange(other.used_, 0)),
      overflowed_(std::exchange(other.overflowed_, false)) {}

SharedArena& SharedArena::operator=(SharedArena&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(used_, other.used_);
  std::swap(overflowed_, other.overflowed_);
  return *this;
}

SharedArena::~SharedArena() {
  if (base_ != nullptr) (void)::munmap(base_, kBytes);
}

void* SharedArena::allocate(std::size_t bytes, std::size_t alignment) {
  const std::size_t begin = (used_ + alignment - 1) / alignment * alignment;
  if (bytes > kBytes || begin > kBytes - bytes) {
    overflowed_ = true;
    return nullptr;
  }
  used_ = begin + bytes;
  return base_ + begin;
}

}  // namespace symbiont::sandbox
