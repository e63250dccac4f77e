// How many rejected events may become dead letters: a token bucket, so that a flood of them neither
// fills rings and logs nor keeps the keeper at its disk. One for each ingest thread; that thread
// only.
#pragma once

#include <algorithm>
#include <cstdint>

namespace deja {

class LetterBucket {
 public:
  static constexpr std::int64_t kPerSecond = 20;
  static constexpr std::int64_t kBurst = 100;

  /// `now_ns`: a clock that is never set back.
  explicit LetterBucket(std::int64_t now_ns) : full_at_ns_(now_ns) {}

  [[nodiscard]] bool take(std::int64_t now_ns) {
    // Empty it would be full again after a burst's time: so full_at says how much is in it.
    const std::int64_t full_at_ns = std::max(full_at_ns_, now_ns) + kNsPerToken;
    if (full_at_ns - now_ns > kBurst * kNsPerToken) return false;
    full_at_ns_ = full_at_ns;
    return true;
  }

 private:
  static constexpr std::int64_t kNsPerToken = 1'000'000'000 / kPerSecond;
  std::int64_t full_at_ns_;
};

}  // namespace deja
