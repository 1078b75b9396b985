#include "worker/pooling.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace symbiont::worker {

void VectorPool::add(std::span<const float> vector, Pooling pooling) {
  if (sum_.empty() || pooling == Pooling::Last) {
    sum_.assign(vector.begin(), vector.end());
  } else if (pooling == Pooling::Mean) {
    std::ranges::transform(sum_, vector, sum_.begin(), std::plus<>());
  }
}

std::vector<float> VectorPool::take() {
  const double length = std::sqrt(std::inner_product(sum_.begin(), sum_.end(), sum_.begin(), 0.0));
  std::vector<float> unit(sum_.size());
  std::ranges::transform(sum_, unit.begin(), [length](double value) {
    return static_cast<float>(length > 0 ? value / length : value);
  });
  clear();
  return unit;
}

}  // namespace symbiont::worker
