// The users of a benchmark and the order in which they come. One thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace deja::bench {

/// "user-0000123": as long for each, so that no structure is helped by a short one.
[[nodiscard]] inline std::string user_name(std::uint64_t number) {
  std::string digits = std::to_string(number);
  return "user-" + std::string(digits.size() < 7 ? 7 - digits.size() : 0, '0') + digits;
}

/// Users by number: by Zipf's law with exponent 0.99 as visitors come, or uniformly.
class Visitors {
 public:
  Visitors(std::uint64_t users, bool zipf, std::uint64_t seed = 1) : users_(users), random_(seed) {
    if (!zipf) return;
    double sum = 0;
    cumulative_.reserve(users);
    for (std::uint64_t rank = 1; rank <= users; ++rank) {
      sum += std::pow(static_cast<double>(rank), -0.99);
      cumulative_.push_back(sum);
    }
  }
  [[nodiscard]] std::uint64_t next() {
    if (cumulative_.empty()) return random_() % users_;
    const double at = std::uniform_real_distribution<double>(0, cumulative_.back())(random_);
    const auto rank = std::lower_bound(cumulative_.begin(), cumulative_.end(), at);
    // The ranks are spread over the table: popular users are not neighbours.
    return static_cast<std::uint64_t>(rank - cumulative_.begin()) * 7'919 % users_;
  }

 private:
  std::uint64_t users_;
  std::vector<double> cumulative_;
  std::mt19937_64 random_;
};

}  // namespace deja::bench
