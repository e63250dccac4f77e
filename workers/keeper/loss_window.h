// Since when the store has had what it says: a watermark counts as confirmed once it has stood for
// redis.loss_window, because Redis can lose its last seconds (its file's tail, a failover) and does
// not say so. Only what is confirmed may leave the memory or the journal. The keeper's thread
// alone.
//
//  1. confirmed[s] never lies above a watermark that stood a whole window ago.
//  2. A watermark that Redis takes back takes confirmed and everything remembered back with it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <vector>

namespace deja {

class LossWindow {
 public:
  /// `confirmed` lies in the keeper's file, one for each shard; what a former keeper confirmed
  /// stays.
  LossWindow(std::atomic<std::uint64_t>* confirmed, std::uint32_t shard_count,
             std::int64_t window_ns)
      : confirmed_(confirmed), shard_count_(shard_count), window_ns_(window_ns) {}

  /// To be called now and then; looks at the watermarks kLooks times in a window.
  void tick(const std::atomic<std::uint64_t>* watermarks, std::int64_t now_ns) {
    if (!looks_.empty() && now_ns - looks_.back().at_ns < window_ns_ / kLooks) return;
    Look look{now_ns, {}};
    for (std::uint32_t shard = 0; shard < shard_count_; ++shard) {
      look.watermarks.push_back(watermarks[shard].load(std::memory_order_relaxed));
    }
    looks_.push_back(std::move(look));
    while (looks_.size() > 1 && now_ns - looks_[1].at_ns >= window_ns_) looks_.pop_front();
    if (now_ns - looks_.front().at_ns < window_ns_) return;
    for (std::uint32_t shard = 0; shard < shard_count_; ++shard) {
      const std::uint64_t stood = looks_.front().watermarks[shard];
      if (stood <= confirmed_[shard].load(std::memory_order_relaxed)) continue;
      // SYNC(keeper.confirmed): the store has had every profile of the shard up to it for a window.
      confirmed_[shard].store(stood, std::memory_order_release);
    }
  }

  /// Redis has less of the shard than it said.
  void take_back(std::uint32_t shard, std::uint64_t watermark) {
    for (Look& look : looks_) look.watermarks[shard] = std::min(look.watermarks[shard], watermark);
    if (confirmed_[shard].load(std::memory_order_relaxed) > watermark) {
      confirmed_[shard].store(watermark, std::memory_order_release);
    }
  }

  [[nodiscard]] std::vector<std::uint64_t> confirmed() const {
    std::vector<std::uint64_t> copy;
    for (std::uint32_t shard = 0; shard < shard_count_; ++shard) {
      copy.push_back(confirmed_[shard].load(std::memory_order_relaxed));
    }
    return copy;
  }

 private:
  static constexpr std::int64_t kLooks = 16;
  struct Look {
    std::int64_t at_ns = 0;
    std::vector<std::uint64_t> watermarks;
  };
  std::atomic<std::uint64_t>* confirmed_;
  std::uint32_t shard_count_;
  std::int64_t window_ns_;
  std::deque<Look> looks_;  // oldest first
};

}  // namespace deja
