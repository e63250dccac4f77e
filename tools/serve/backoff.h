// How long to wait before a dead child is started again: 10 ms, doubled each time up to 5 s, from
// the beginning once it lived for 10 s. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

namespace deja {

class Backoff {
 public:
  static constexpr std::int64_t kFirstNs = 10'000'000;
  static constexpr std::int64_t kLongestNs = 5'000'000'000;
  static constexpr std::int64_t kLivedWellNs = 10'000'000'000;

  /// A child died after `lived_ns`: how long to wait.
  [[nodiscard]] std::int64_t next_ns(std::int64_t lived_ns) {
    if (lived_ns >= kLivedWellNs) reset();
    const std::int64_t wait_ns = wait_ns_;
    wait_ns_ = std::min(2 * wait_ns_, kLongestNs);
    ++failures_;
    return wait_ns;
  }
  void reset() {
    wait_ns_ = kFirstNs;
    failures_ = 0;
  }
  /// Deaths in a row.
  [[nodiscard]] int failures() const { return failures_; }

 private:
  std::int64_t wait_ns_ = kFirstNs;
  int failures_ = 0;
};

}  // namespace deja
