#ifndef SYMBIONT_BASE_MUTEX_H_
#define SYMBIONT_BASE_MUTEX_H_

// A std::mutex that clang's -Wthread-safety understands; libstdc++ 12's own carries no attributes.

#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define SYMBIONT_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define SYMBIONT_THREAD_ATTRIBUTE(x)
#endif

#define SYMBIONT_CAPABILITY(x) SYMBIONT_THREAD_ATTRIBUTE(capability(x))
#define SYMBIONT_SCOPED_CAPABILITY SYMBIONT_THREAD_ATTRIBUTE(scoped_lockable)
#define SYMBIONT_GUARDED_BY(x) SYMBIONT_THREAD_ATTRIBUTE(guarded_by(x))
#define SYMBIONT_REQUIRES(...) SYMBIONT_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define SYMBIONT_EXCLUDES(...) SYMBIONT_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define SYMBIONT_ACQUIRE(...) SYMBIONT_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define SYMBIONT_RELEASE(...) SYMBIONT_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))

namespace symbiont {

class SYMBIONT_CAPABILITY("mutex") Mutex {
 public:
  void lock() SYMBIONT_ACQUIRE() { mutex_.lock(); }
  void unlock() SYMBIONT_RELEASE() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

/// Holds a Mutex for a scope. Also a BasicLockable, so that CondVar can wait on it.
class SYMBIONT_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) SYMBIONT_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() SYMBIONT_RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

/// Waits on a Mutex that the caller holds. Spurious wake-ups happen: wait in a loop on the
/// condition.
class CondVar {
 public:
  void wait(Mutex& mutex) SYMBIONT_REQUIRES(mutex) { condition_.wait(mutex); }
  template <typename TimePoint>
  std::cv_status wait_until(Mutex& mutex, const TimePoint& deadline) SYMBIONT_REQUIRES(mutex) {
    return condition_.wait_until(mutex, deadline);
  }
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable_any condition_;
};

}  // namespace symbiont

#endif  // SYMBIONT_BASE_MUTEX_H_
