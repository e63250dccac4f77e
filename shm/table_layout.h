// How a shard of the profile table lies in memory; shm/table_geometry.h has the counts and places.
// Libc alone.
//
//   ShardLayout   two lines: what the shard is (constant), what its owner counts
//   buckets       (main + overflow) × 64 bytes: eight entries each
//   links         (main + overflow) × u32: 0, or 1 + number of the overflow bucket that follows
//   blocks        blocks_per_shard × block_bytes (shm/block.h)
//
//   entry:  63          32 31           0
//           ┌─────────────┬──────────────┐     0: empty
//           │ tag         │ block + 1    │
//           └─────────────┴──────────────┘
//
// Invariants
//  1. One writer: the shard's owner. Zeroed memory is an empty shard.
//  2. A block that an entry points to is immutable, has a stamp, and no other entry points to it.
//  3. A stamp is never used twice: next_stamp is stored before a stamp below it is.
//  4. Entries never move. A key has at most one entry, in the chain of its main bucket.
//  5. A chain only grows, by linking an empty overflow bucket, and is at most kChainBucketsMax
//  long.
//     An overflow bucket is in one chain at most; one that is in none is empty.
//  6. A change is visible by one store into one entry, an insertion and a clear likewise.
//
// Dying between any two stores of the owner leaves a shard that these are true of; what is lost is
// only private (free lists), and rebuilt by a sweep: shm/shard_writer.h has the table.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "shm/base/cache_line.h"
#include "shm/block.h"
#include "shm/table_geometry.h"

namespace deja {

inline constexpr std::uint64_t kShardMagic = 0x3144524853414a44;  // "DJASHRD1"

struct ShardLayout {
  // What the shard is: written once by its first owner, magic last.
  std::atomic<std::uint64_t> magic;
  std::uint32_t shard;
  std::uint32_t blocks_per_shard;
  std::uint32_t main_buckets;
  std::uint32_t overflow_buckets;
  std::uint32_t key_bytes;
  std::uint32_t frame_bytes;
  std::uint8_t reserved[32];
  // What its owner counts, on a line of its own.
  std::atomic<std::uint64_t> sequence;        ///< applied events
  std::atomic<std::uint64_t> next_stamp;      ///< above every stamp ever stored
  std::atomic<std::uint64_t> used_count;      ///< profiles
  std::atomic<std::uint64_t> overflow_count;  ///< overflow buckets linked in
  std::atomic<std::uint64_t> refused_count;   ///< new users that found no room
  std::atomic<std::uint64_t> cleared_count;
  std::atomic<std::uint64_t> has_absent;  ///< 1: the store may have profiles that are not here
  std::uint8_t reserved_owner[8];
};
static_assert(sizeof(ShardLayout) == TableGeometry::kShardHeaderBytes);
static_assert(offsetof(ShardLayout, shard) == 8);
static_assert(offsetof(ShardLayout, frame_bytes) == 28);
static_assert(offsetof(ShardLayout, sequence) == kCacheLineBytes);
static_assert(offsetof(ShardLayout, cleared_count) == 104);

using IndexEntry = std::atomic<std::uint64_t>;
using BucketLink = std::atomic<std::uint32_t>;

struct BucketLayout {
  IndexEntry entries[kEntriesPerBucket];
};
static_assert(sizeof(BucketLayout) == kCacheLineBytes);
static_assert(IndexEntry::is_always_lock_free && BucketLink::is_always_lock_free);

inline constexpr std::uint32_t kNoBlock = 0xffffffffU;
inline constexpr std::uint32_t kNoBucket = 0xffffffffU;

[[nodiscard]] constexpr std::uint64_t make_entry(std::uint32_t tag, std::uint32_t block) {
  return (std::uint64_t{tag} << 32U) | (std::uint64_t{block} + 1);
}
/// kNoBlock for an entry without one: callers compare with the count of blocks in any case.
[[nodiscard]] constexpr std::uint32_t block_of(std::uint64_t entry) {
  return static_cast<std::uint32_t>(entry) - 1U;
}
[[nodiscard]] constexpr std::uint32_t tag_of_entry(std::uint64_t entry) {
  return static_cast<std::uint32_t>(entry >> 32U);
}

/// The bucket takes the hash's high half (fast range), the tag its low half.
[[nodiscard]] constexpr std::uint32_t main_bucket_of(std::uint64_t hash, std::uint32_t main_count) {
  return static_cast<std::uint32_t>(((hash >> 32U) * main_count) >> 32U);
}
[[nodiscard]] constexpr std::uint32_t tag_of(std::uint64_t hash) {
  return static_cast<std::uint32_t>(hash);
}

/// The parts of one shard: pointers from a base and a geometry that the caller has checked against
/// the memory's size. `Byte` is std::byte for the owner and const std::byte for readers.
template <typename Byte>
class ShardParts {
  template <typename T>
  using Same = std::conditional_t<std::is_const_v<Byte>, const T, T>;

 public:
  ShardParts() = default;
  ShardParts(Byte* base, const TableGeometry& geometry)
      : header_(reinterpret_cast<Same<ShardLayout>*>(base)),
        buckets_(reinterpret_cast<Same<BucketLayout>*>(base + geometry.buckets_offset())),
        links_(reinterpret_cast<Same<BucketLink>*>(base + geometry.links_offset())),
        blocks_(base + geometry.blocks_offset()),
        block_bytes_(geometry.block_bytes()) {}

  [[nodiscard]] Same<ShardLayout>& header() const { return *header_; }
  [[nodiscard]] Same<IndexEntry>& entry(std::uint64_t position) const {
    return buckets_[position / kEntriesPerBucket].entries[position % kEntriesPerBucket];
  }
  [[nodiscard]] Same<BucketLayout>& bucket(std::uint32_t bucket) const { return buckets_[bucket]; }
  [[nodiscard]] Same<BucketLink>& link(std::uint32_t bucket) const { return links_[bucket]; }
  [[nodiscard]] Same<BlockWord>* block(std::uint32_t block) const {
    return reinterpret_cast<Same<BlockWord>*>(blocks_ + std::uint64_t{block} * block_bytes_);
  }

 private:
  Same<ShardLayout>* header_ = nullptr;
  Same<BucketLayout>* buckets_ = nullptr;
  Same<BucketLink>* links_ = nullptr;
  Byte* blocks_ = nullptr;
  std::uint32_t block_bytes_ = 0;
};

/// Whether a geometry read from a file can be computed with: no zero that is divided by, no count
/// that overflows an offset, sizes of whole words.
[[nodiscard]] inline bool geometry_is_sane(const TableGeometry& geometry) {
  constexpr std::uint32_t kCountMax = 1U << 30U;
  return geometry.shard_count != 0 && geometry.shard_count <= (1U << 20U) &&
         geometry.worker_count != 0 && geometry.worker_count <= geometry.shard_count &&
         geometry.blocks_per_shard != 0 && geometry.blocks_per_shard <= kCountMax &&
         geometry.main_buckets != 0 && geometry.main_buckets <= kCountMax &&
         geometry.overflow_buckets <= kCountMax && geometry.key_bytes != 0 &&
         geometry.key_bytes <= kKeyBytesMax && geometry.key_bytes % 8 == 0 &&
         geometry.frame_bytes <= (1U << 20U) && geometry.frame_bytes % 8 == 0;
}

}  // namespace deja
