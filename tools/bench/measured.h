// What deja bench finds out: one line each, with a sentence on what it means. Plain data; one
// thread.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace deja {

struct Measured {
  const char* name;           ///< in JSON: "read_independent"
  const char* title;          ///< for people
  const char* unit;           ///< "ns", "M/s" or "GB/s"
  double value = 0;           ///< the median of rounds, or p50
  std::optional<double> p99;  ///< where single operations were timed
  const char* means;          ///< a sentence: what to expect
};

/// What could not be measured here.
struct NotMeasured {
  const char* name;
  std::string why;
};

struct BenchFindings {
  std::vector<Measured> measured;
  std::vector<NotMeasured> not_measured;
};

/// The value below which `fraction` of all lies, no interpolation; 0 where there are none.
[[nodiscard]] inline double quantile(std::vector<double>& values, double fraction) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(fraction * static_cast<double>(values.size() - 1))];
}
[[nodiscard]] inline double median(std::vector<double>& values) {
  return quantile(values, 0.5);
}

}  // namespace deja
