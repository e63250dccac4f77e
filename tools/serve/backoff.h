// How long to wait before a dead child is started again: not at all the first time, then 10 ms,
// doubled each time up to 5 s; from the beginning once it lived for a second. Deaths in a row are
// counted apart, until one lived for 10 s. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

namespace deja {

class Backoff {
 public:
  static constexpr std::int64_t kFirstNs = 10'000'000;  ///< the first wait that is one
  static constexpr std::int64_t kLongestNs = 5'000'000'000;
  static constexpr std::int64_t kLivedNs = 1'000'000'000;
  static constexpr std::int64_t kLivedWellNs = 10'000'000'000;

  /// A child died after `lived_ns`: how long to wait.
  [[nodiscard]] std::int64_t next_ns(std::int64_t lived_ns) {
    if (lived_ns >= kLivedNs) wait_ns_ = 0;
    if (lived_ns >= kLivedWellNs) failures_ = 0;
    const std::int64_t wait_ns = wait_ns_;
    wait_ns_ = std::clamp(2 * wait_ns_, kFirstNs, kLongestNs);
    ++failures_;
    return wait_ns;
  }
  /// Deaths in a row.
  [[nodiscard]] int failures() const { return failures_; }

 private:
  std::int64_t wait_ns_ = 0;
  int failures_ = 0;
};

}  // namespace deja
