// A log-linear histogram of latencies in shared memory: 32 steps per power of two (3 % wide), from
// 1 ns to 137 s, 1,056 counters, 8.5 KB. One writing thread records with a relaxed add, or several
// of one process with a locked one; any process may copy it at any time. Method: HdrHistogram's
// bucketing (Gil Tene), without its auto-ranging.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <vector>

namespace deja {

inline constexpr std::uint32_t kHistogramStepBits = 5;
inline constexpr std::uint32_t kHistogramPowers = 33;
inline constexpr std::uint32_t kHistogramBuckets = kHistogramPowers << kHistogramStepBits;

/// The bucket of a value; values beyond the range fall into the last.
[[nodiscard]] constexpr std::uint32_t histogram_bucket(std::uint64_t value) {
  constexpr std::uint32_t kSteps = 1U << kHistogramStepBits;
  if (value < kSteps) return static_cast<std::uint32_t>(value);
  const auto power = static_cast<std::uint32_t>(std::bit_width(value)) - 1;
  const std::uint32_t shift = power - kHistogramStepBits;
  const auto step = static_cast<std::uint32_t>(value >> shift) - kSteps;
  const std::uint32_t bucket = ((shift + 1) << kHistogramStepBits) + step;
  return bucket < kHistogramBuckets ? bucket : kHistogramBuckets - 1;
}

/// The smallest value of a bucket.
[[nodiscard]] constexpr std::uint64_t histogram_lower_bound(std::uint32_t bucket) {
  constexpr std::uint32_t kSteps = 1U << kHistogramStepBits;
  if (bucket < kSteps) return bucket;
  const std::uint32_t shift = (bucket >> kHistogramStepBits) - 1;
  return std::uint64_t{(bucket & (kSteps - 1)) + kSteps} << shift;
}

struct HistogramLayout {
  std::atomic<std::uint64_t> sum;
  std::atomic<std::uint64_t> max;
  std::atomic<std::uint64_t> counts[kHistogramBuckets];
};
static_assert(sizeof(HistogramLayout) == 16 + 8 * kHistogramBuckets);

/// The writer's handle.
class Histogram {
 public:
  Histogram() = default;
  explicit Histogram(HistogramLayout* layout) : layout_(layout) {}

  void record(std::uint64_t value_ns, std::uint64_t count = 1) {
    bump(layout_->counts[histogram_bucket(value_ns)], count);
    bump(layout_->sum, value_ns * count);
    if (value_ns > layout_->max.load(std::memory_order_relaxed)) {
      layout_->max.store(value_ns, std::memory_order_relaxed);
    }
  }

  /// For a histogram that several threads write: locked instructions, so once for a batch at most.
  void record_shared(std::uint64_t value_ns, std::uint64_t count = 1) {
    layout_->counts[histogram_bucket(value_ns)].fetch_add(count, std::memory_order_relaxed);
    layout_->sum.fetch_add(value_ns * count, std::memory_order_relaxed);
    std::uint64_t max = layout_->max.load(std::memory_order_relaxed);
    while (value_ns > max &&
           !layout_->max.compare_exchange_weak(max, value_ns, std::memory_order_relaxed)) {
    }
  }

 private:
  static void bump(std::atomic<std::uint64_t>& word, std::uint64_t by) {
    word.store(word.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  HistogramLayout* layout_ = nullptr;
};

/// A private copy to compute with.
struct HistogramCopy {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  std::uint64_t max = 0;
  std::vector<std::uint64_t> counts;

  [[nodiscard]] static HistogramCopy of(const HistogramLayout& layout) {
    HistogramCopy copy;
    copy.counts.resize(kHistogramBuckets);
    for (std::uint32_t bucket = 0; bucket < kHistogramBuckets; ++bucket) {
      copy.counts[bucket] = layout.counts[bucket].load(std::memory_order_relaxed);
      copy.count += copy.counts[bucket];
    }
    copy.sum = layout.sum.load(std::memory_order_relaxed);
    copy.max = layout.max.load(std::memory_order_relaxed);
    return copy;
  }

  /// The value below which the `fraction` (0..1) of all lies, to 3 %; 0 when there are none.
  [[nodiscard]] std::uint64_t quantile(double fraction) const {
    if (count == 0) return 0;
    const auto rank = static_cast<std::uint64_t>(fraction * static_cast<double>(count - 1)) + 1;
    std::uint64_t seen = 0;
    for (std::uint32_t bucket = 0; bucket < kHistogramBuckets; ++bucket) {
      seen += counts[bucket];
      if (seen >= rank) {
        const std::uint64_t upper = histogram_lower_bound(bucket + 1) - 1;
        return upper < max ? upper : max;
      }
    }
    return max;
  }
};

}  // namespace deja
