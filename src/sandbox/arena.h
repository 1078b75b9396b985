#ifndef SYMBIONT_SANDBOX_ARENA_H_
#define SYMBIONT_SANDBOX_ARENA_H_

// Memory that the launcher and a child it has cloned see at the same address: the plan of a child
// that is already waiting is written here, pointers and all.

#include <cstddef>
#include <cstring>
#include <expected>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/result.h"

namespace symbiont::sandbox {

/// Owns a shared mapping. Values are only ever added; all go with the mapping.
class SharedArena {
 public:
  static constexpr std::size_t kBytes = 2U << 20U;

  [[nodiscard]] static Result<SharedArena> create();
  SharedArena(SharedArena&& other) noexcept;
  SharedArena& operator=(SharedArena&& other) noexcept;
  SharedArena(const SharedArena&) = delete;
  SharedArena& operator=(const SharedArena&) = delete;
  ~SharedArena();

  /// Uninitialised room for `count` values; null when the arena is full.
  template <typename T>
  [[nodiscard]] T* room(std::size_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    return static_cast<T*>(allocate(count * sizeof(T), alignof(T)));
  }

  template <typename T>
  [[nodiscard]] T* put(const T& value) {
    T* at = room<T>(1);
    return at == nullptr ? nullptr : new (at) T(value);
  }

  template <typename T>
  [[nodiscard]] std::span<T> put_all(std::span<const T> values) {
    T* at = room<T>(values.size());
    if (at == nullptr) return {};
    std::memcpy(static_cast<void*>(at), static_cast<const void*>(values.data()),
                values.size_bytes());
    return {at, values.size()};
  }

  /// A copy that ends in NUL.
  [[nodiscard]] const char* put_text(std::string_view text) {
    char* at = room<char>(text.size() + 1);
    if (at == nullptr) return nullptr;
    std::memcpy(at, text.data(), text.size());
    at[text.size()] = '\0';
    return at;
  }

  /// Whether something did not fit.
  [[nodiscard]] bool overflowed() const { return overflowed_; }

 private:
  explicit SharedArena(std::byte* base) : base_(base) {}
  [[nodiscard]] void* allocate(std::size_t bytes, std::size_t alignment);

  std::byte* base_ = nullptr;
  std::size_t used_ = 0;
  bool overflowed_ = false;
};

}  // namespace symbiont::sandbox

#endif  // SYMBIONT_SANDBOX_ARENA_H_
