// How many blocks and buckets a shard has and where they lie: one computation, used by whoever
// sizes the files, by owners and by readers. Plain data, libc alone; immutable after start.
//
// File profiles-<w>: the shards that worker w owns (s % worker_count == w), each `shard_bytes`
// long, in the order of their numbers:
//
//   ShardLayout │ buckets: (main + overflow) × 64 B │ links: (main + overflow) × 4 B │ blocks
#pragma once

#include <cstdint>

#include "shm/base/cache_line.h"

namespace deja {

inline constexpr std::uint32_t kEntriesPerBucket = 8;
/// Longest chain of buckets that a reader follows and an owner makes: a bound on hostile keys.
inline constexpr std::uint32_t kChainBucketsMax = 16;
/// Blocks that wait before they are used again, so that a slow reader seldom meets a reuse.
inline constexpr std::uint32_t kReuseBlocksDefault = 8;

struct TableGeometry {
  std::uint32_t shard_count = 0;
  std::uint32_t worker_count = 0;
  std::uint32_t blocks_per_shard = 0;
  std::uint32_t main_buckets = 0;      ///< per shard, hashed into
  std::uint32_t overflow_buckets = 0;  ///< per shard, linked in when one is full
  std::uint32_t key_bytes = 0;         ///< reserved in each block, a multiple of 8
  std::uint32_t frame_bytes = 0;       ///< a multiple of 8

  static constexpr std::uint32_t kBlockHeaderBytes = 32;
  static constexpr std::uint32_t kShardHeaderBytes = 128;

  /// Sizes a table for `profiles_max` users spread by hash over `shard_count` shards: the fullest
  /// of them holds n + 6√n with n expected, so a refusal before the table is full is a matter of
  /// one in a billion; and the reuse FIFO on top. Likewise the overflow buckets. Churn links in all
  /// of them sooner or later, however many there are: then room is made in a chain
  /// (workers/worker_evict.cc).
  [[nodiscard]] static TableGeometry plan(std::uint64_t profiles_max, std::uint32_t shards,
                                          std::uint32_t workers, std::uint32_t key_bytes,
                                          std::uint32_t frame_bytes);

  [[nodiscard]] std::uint32_t block_bytes() const {
    return kBlockHeaderBytes + key_bytes + frame_bytes;
  }
  [[nodiscard]] std::uint64_t buckets_offset() const { return kShardHeaderBytes; }
  [[nodiscard]] std::uint32_t bucket_count() const { return main_buckets + overflow_buckets; }
  [[nodiscard]] std::uint64_t links_offset() const {
    return buckets_offset() + std::uint64_t{bucket_count()} * kCacheLineBytes;
  }
  [[nodiscard]] std::uint64_t blocks_offset() const {
    return round_up(links_offset() + std::uint64_t{bucket_count()} * 4, kCacheLineBytes);
  }
  [[nodiscard]] std::uint64_t shard_bytes() const {
    return round_up(blocks_offset() + std::uint64_t{blocks_per_shard} * block_bytes(),
                    kCacheLineBytes);
  }
  /// Shards that worker `worker` owns.
  [[nodiscard]] std::uint32_t shards_of(std::uint32_t worker) const {
    return shard_count / worker_count + (worker < shard_count % worker_count ? 1 : 0);
  }
  [[nodiscard]] std::uint64_t file_bytes(std::uint32_t worker) const {
    return shard_bytes() * shards_of(worker);
  }
  [[nodiscard]] std::uint64_t table_bytes() const { return shard_bytes() * shard_count; }
  /// Where shard `shard` begins in its owner's file.
  [[nodiscard]] std::uint64_t shard_offset(std::uint32_t shard) const {
    return shard_bytes() * (shard / worker_count);
  }
  [[nodiscard]] std::uint32_t owner_of(std::uint32_t shard) const { return shard % worker_count; }
};

/// The square root, rounded up.
[[nodiscard]] constexpr std::uint64_t root_above(std::uint64_t number) {
  std::uint64_t root = 0;
  while (root * root < number) ++root;
  return root;
}

inline TableGeometry TableGeometry::plan(std::uint64_t profiles_max, std::uint32_t shards,
                                         std::uint32_t workers, std::uint32_t key_bytes,
                                         std::uint32_t frame_bytes) {
  const std::uint64_t expected = (profiles_max + shards - 1) / shards;
  TableGeometry geometry;
  geometry.shard_count = shards;
  geometry.worker_count = workers;
  geometry.blocks_per_shard =
      static_cast<std::uint32_t>(expected + 6 * root_above(expected) + kReuseBlocksDefault);
  // Six of eight entries filled when the shard is: then 15.3 % of the main buckets are given more
  // than eight (Poisson's law), and as many again as six deviations of that.
  geometry.main_buckets = geometry.blocks_per_shard / 6 + 1;
  const std::uint64_t overflowing = std::uint64_t{geometry.main_buckets} * 153 / 1000 + 1;
  geometry.overflow_buckets = static_cast<std::uint32_t>(overflowing + 6 * root_above(overflowing));
  geometry.key_bytes = key_bytes;
  geometry.frame_bytes = frame_bytes;
  return geometry;
}

}  // namespace deja
