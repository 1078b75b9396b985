#ifndef SYMBIONT_WORKER_POOLING_H_
#define SYMBIONT_WORKER_POOLING_H_

// From the vectors of a text's tokens to the one of the text. Pure.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace symbiont::worker {

/// Which of the tokens count: all alike, or one.
enum class Pooling : std::uint8_t { Mean, First, Last };

class VectorPool {
 public:
  /// The next token's. All are of one size.
  void add(std::span<const float> vector, Pooling pooling);
  /// The text's, of length 1 (0 where all are 0); afterwards there is nothing in it.
  [[nodiscard]] std::vector<float> take();
  void clear() { sum_.clear(); }

 private:
  std::vector<double> sum_;  // the mean's direction is the sum's
};

}  // namespace symbiont::worker

#endif  // SYMBIONT_WORKER_POOLING_H_
