// Which profiles changed since they were last written, collected from the logs: each key once, with
// the sequence of its newest event. Bounded: a shard for which there is no room any more is said to
// be walked as a whole instead. The keeper's thread alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

#include "shm/key.h"
#include "shm/keyed_hash.h"
#include "workers/keeper/touched_keys.h"

namespace deja {

class TouchedSet {
 public:
  /// What a shard has to have written.
  struct Shard {
    TouchedKeys keys;            ///< → sequence of its newest event seen
    bool walk = false;           ///< the whole index has to be looked at; keys is empty then
    std::uint64_t newest = 0;    ///< of the events that the walk stands for, as far as known: one
                                 ///< that was logged and is not published yet is not met by it
    std::int64_t oldest_us = 0;  ///< when the oldest of these events was consumed; 0: unknown
    [[nodiscard]] bool empty() const { return keys.empty() && !walk; }
  };

  TouchedSet(std::uint32_t shard_count, std::size_t keys_max)
      : secret_(draw_secret()), shards_(shard_count), keys_max_(keys_max) {}

  /// `consumed_us`: when the event was; 0 where that is unknown.
  void touch(std::uint32_t shard, const Key& key, std::uint64_t sequence,
             std::int64_t consumed_us) {
    Shard& into = shards_[shard];
    age(into, consumed_us);
    if (into.walk) {
      into.newest = std::max(into.newest, sequence);
    } else if (into.keys.touch(secret_, key, sequence) && ++count_ > keys_max_) {
      walk(shard);
    }
  }
  /// `owned`: as owned_key() makes it.
  void touch(std::uint32_t shard, std::string_view owned, std::uint64_t sequence,
             std::int64_t consumed_us) {
    touch(shard, key_of(owned), sequence, consumed_us);
  }

  /// The shard's keys can't be told one by one.
  void walk(std::uint32_t shard, std::uint64_t newest = 0) {
    Shard& into = shards_[shard];
    for (const auto& [key, sequence] : into.keys) newest = std::max(newest, sequence);
    into.newest = std::max(into.newest, newest);
    count_ -= into.keys.size();
    into.keys.clear();
    into.walk = true;
  }

  /// Hands the shard's part over and begins it anew.
  [[nodiscard]] Shard take(std::uint32_t shard) {
    count_ -= shards_[shard].keys.size();
    return std::exchange(shards_[shard], Shard{});
  }

  /// Puts back what could not be written.
  void put_back(std::uint32_t shard, const Shard& unwritten) {
    age(shards_[shard], unwritten.oldest_us);
    if (unwritten.walk) walk(shard, unwritten.newest);
    for (const auto& [key, sequence] : unwritten.keys) {
      touch(shard, key, sequence, unwritten.oldest_us);
    }
  }

  [[nodiscard]] const Shard& shard(std::uint32_t number) const { return shards_[number]; }
  [[nodiscard]] std::uint32_t shard_count() const {
    return static_cast<std::uint32_t>(shards_.size());
  }
  /// Keys in all shards; a shard that is walked counts none.
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] bool empty() const {
    return std::all_of(shards_.begin(), shards_.end(),
                       [](const Shard& shard) { return shard.empty(); });
  }

 private:
  static void age(Shard& shard, std::int64_t consumed_us) {
    if (consumed_us == 0) return;
    shard.oldest_us = shard.oldest_us == 0 ? consumed_us : std::min(shard.oldest_us, consumed_us);
  }

  static HashSecret draw_secret() {
    std::random_device random;
    const auto word = [&random] { return std::uint64_t{random()} << 32U | random(); };
    return {{word(), word()}};
  }

  HashSecret secret_;
  std::vector<Shard> shards_;
  std::size_t keys_max_;
  std::size_t count_ = 0;
};

}  // namespace deja
