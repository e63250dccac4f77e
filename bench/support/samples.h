// Samples of one measurement and what to say of them: quantiles by sorting, no interpolation. For
// benchmarks; one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace deja::bench {

class Samples {
 public:
  void add(double value) { values_.push_back(value); }
  /// From times to how much longer they are than another.
  void divide_by(double value) {
    for (double& sample : values_) sample /= value;
  }
  [[nodiscard]] std::size_t count() const { return values_.size(); }
  /// The value below which `fraction` of all lies; 0 when there are none.
  [[nodiscard]] double quantile(double fraction) {
    if (values_.empty()) return 0;
    std::sort(values_.begin(), values_.end());
    return values_[static_cast<std::size_t>(fraction * static_cast<double>(values_.size() - 1))];
  }
  [[nodiscard]] double median() { return quantile(0.5); }
  /// The newest, as long as no quantile was asked for.
  [[nodiscard]] double last() const { return values_.empty() ? 0 : values_.back(); }

 private:
  std::vector<double> values_;
};

}  // namespace deja::bench
