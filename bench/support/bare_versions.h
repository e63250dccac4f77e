// The least that a worker of this design can do for an event: the record into a log, the user's
// version copied into a free block, the index pointed at it. No check, no decoding, no feature, no
// id; where a user's version lies is known by his number. What is left of a worker's time beyond
// this is its own work. Bench code; one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "bench/support/ticks.h"
#include "shm/base/cache_line.h"
#include "shm/table_geometry.h"

namespace deja::bench {

class BareVersions {
 public:
  /// `block_bytes`: a count of eight bytes.
  BareVersions(std::uint64_t users, std::uint32_t block_bytes)
      : block_words_(block_bytes / 8),
        blocks_((users + kFree) * block_words_, 1),
        index_(users),
        free_(kFree),
        log_(kLogBytes / 8, 1) {
    for (std::uint64_t user = 0; user < users; ++user) index_[user] = user;
    for (std::uint64_t at = 0; at < kFree; ++at) free_[at] = users + at;
  }

  /// Nanoseconds for an event of each of these, whose record has `record_bytes`.
  double cost_ns(const std::vector<std::uint32_t>& users, std::uint32_t record_bytes) {
    const std::vector<std::uint64_t> record(record_bytes / 8, 7);
    const std::uint64_t begin = ticks();
    for (std::size_t first = 0; first < users.size(); first += kBatch) {
      const std::size_t last = std::min(first + kBatch, users.size());
      // Asked for ahead, as the worker does.
      for (std::size_t at = first; at < last; ++at) ask_for_line(&index_[users[at]]);
      for (std::size_t at = first; at < last; ++at) ask_for(index_[users[at]]);
      for (std::size_t at = first; at < last; ++at) renew(users[at], record);
    }
    return static_cast<double>(ticks() - begin) * tick_ns_ / static_cast<double>(users.size());
  }

 private:
  static constexpr std::size_t kBatch = 256;
  static constexpr std::uint64_t kFree = 64ULL * kReuseBlocksDefault;  // of 64 shards
  static constexpr std::size_t kLogBytes = 64U << 20U;

  void ask_for(std::uint64_t block) const {
    for (std::uint32_t word = 0; word < block_words_; word += 8) {
      ask_for_line(&blocks_[block * block_words_ + word]);
    }
  }
  void renew(std::uint32_t user, const std::vector<std::uint64_t>& record) {
    if (logged_ + record.size() > log_.size()) logged_ = 0;
    std::memcpy(&log_[logged_], record.data(), record.size() * 8);
    logged_ += record.size();
    const std::uint64_t old = index_[user];
    const std::uint64_t fresh = free_[turn_];
    std::memcpy(&blocks_[fresh * block_words_], &blocks_[old * block_words_], block_words_ * 8);
    ++blocks_[fresh * block_words_];
    index_[user] = fresh;
    free_[turn_] = old;
    turn_ = (turn_ + 1) % kFree;
  }

  std::uint64_t block_words_;
  std::vector<std::uint64_t> blocks_;
  std::vector<std::uint64_t> index_;
  std::vector<std::uint64_t> free_;
  std::vector<std::uint64_t> log_;
  std::size_t logged_ = 0;
  std::size_t turn_ = 0;
  double tick_ns_ = tick_ns();
};

}  // namespace deja::bench
