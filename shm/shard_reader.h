// Reads profiles of one shard while its owner changes them: no lock, no store, no system call, no
// allocation. Any number of threads and processes; one ShardReader may be shared by all threads.
// Libc alone; the memory may be mapped read-only, and may be hostile: whatever it holds, a reader
// stays inside of it and comes back.
//
// Invariants
//  1. What is answered is one version whole, and was the key's current one at an instant within
//     the call; "absent" likewise means that there was such an instant.
//  2. The key is compared only with a copy that both second looks have confirmed.
//  3. A call ends after at most kReadAttemptsMax copies and kChainBucketsMax buckets.
//
// Why two second looks (E an entry, B a block, s its stamp):
//  without the stamp again: load E→B(s1); copy half; the owner publishes E→C and E→D, reuses B for
//    another version of the same key, publishes E→B(s2); copy the other half; E again is the same
//    word: a torn profile.
//  without the entry again: load E→B; the owner publishes E→C, reuses B for another key; load
//    stamp s2, copy, stamp again s2: a whole profile of somebody else, taken for a tag collision,
//    and a user who was there all the time is answered as absent.
//  the entry before the stamp, and with acquire: whoever sees E→B again sees the stamp of the build
//    that was published so, and it differs from s1 unless nothing happened.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shm/base/cache_line.h"
#include "shm/block.h"
#include "shm/keyed_hash.h"
#include "shm/table_layout.h"

namespace deja {

enum class [[nodiscard]] ReadOutcome : std::uint8_t{
    kFound, kAbsent,
    kBusy,  ///< the owner was faster kReadAttemptsMax times in a row; the caller counts and may
            ///< retry
};

/// Copies before a call gives up. One is lost only to an owner who goes through the whole reuse
/// FIFO within one copy.
inline constexpr std::uint32_t kReadAttemptsMax = 64;

/// Where a read is, for tests that run the owner at exactly that point.
enum class ReadStep : std::uint8_t { kEntryLoaded, kStampLoaded, kCopying, kCopied, kEntryAgain };

/// The product's policy: both second looks, nothing in between.
struct BothLooks {
  static constexpr bool kEntryAgain = true;
  static constexpr bool kStampAgain = true;
  static void between(ReadStep) {}
};

/// A place in a shard's index; start with {}.
struct ShardCursor {
  std::uint64_t position = 0;
};

template <typename Looks = BothLooks>
class ShardReader {
 public:
  ShardReader() = default;

  /// `shard_memory` is 64-byte aligned and geometry.shard_bytes() long; geometry_is_sane(geometry).
  ShardReader(const void* shard_memory, const TableGeometry& geometry, const HashSecret& secret)
      : parts_(static_cast<const std::byte*>(shard_memory), geometry),
        geometry_(geometry),
        secret_(secret) {}

  /// Copies the key's profile. `copy` holds garbage unless kFound.
  ReadOutcome get(const Key& key, ProfileCopy& copy) const {
    return get(key, keyed_hash(secret_, key), copy);
  }

  /// The same with keyed_hash(secret, key) at hand, as after prefetch().
  ReadOutcome get(const Key& key, std::uint64_t hash, ProfileCopy& copy) const {
    const std::uint32_t tag = tag_of(hash);
    std::uint32_t attempts = 0;
    std::uint32_t bucket = main_bucket_of(hash, geometry_.main_buckets);
    for (std::uint32_t hop = 0; hop < kChainBucketsMax; ++hop) {
      for (const IndexEntry& slot : parts_.bucket(bucket).entries) {
        for (;;) {
          const std::uint64_t entry = slot.load(std::memory_order_acquire);  // SYNC(table.publish)
          if (entry == 0 || tag_of_entry(entry) != tag) break;
          const Attempt attempt = copy_version(slot, entry, copy);
          if (attempt == Attempt::kWhole && copy.holds(key)) return ReadOutcome::kFound;
          if (attempt != Attempt::kChanged) break;
          if (++attempts == kReadAttemptsMax) return ReadOutcome::kBusy;
        }
      }
      bucket = next_bucket(bucket);
      if (bucket == kNoBucket) break;
    }
    return ReadOutcome::kAbsent;
  }

  /// Whether the store may have profiles of this shard that are not here.
  [[nodiscard]] bool has_absent() const {
    return parts_.header().has_absent.load(std::memory_order_acquire) != 0;
  }

  /// Asks for the line of the key's main bucket ahead of get(key, hash).
  [[nodiscard]] std::uint64_t prefetch(const Key& key) const {
    const std::uint64_t hash = keyed_hash(secret_, key);
    prefetch(hash);
    return hash;
  }
  void prefetch(std::uint64_t hash) const {
    ask_for_line(&parts_.bucket(main_bucket_of(hash, geometry_.main_buckets)));
  }

  /// The second step ahead of get(key, hash), once the bucket's line is there: asks for the lines
  /// of the block in the main bucket that carries the key's tag.
  void prefetch_block(std::uint64_t hash) const { prefetch_other_lines(prefetch_first_line(hash)); }
  /// The same in two steps, for a caller who has many to ask for.
  [[nodiscard]] std::uint32_t prefetch_first_line(std::uint64_t hash) const {
    const std::uint32_t tag = tag_of(hash);
    const std::uint32_t bucket = main_bucket_of(hash, geometry_.main_buckets);
    for (const IndexEntry& slot : parts_.bucket(bucket).entries) {
      const std::uint64_t entry = slot.load(std::memory_order_relaxed);
      if (tag_of_entry(entry) != tag || block_of(entry) >= geometry_.blocks_per_shard) continue;
      ask_for_line(parts_.block(block_of(entry)));
      return block_of(entry);
    }
    return kNoBlock;
  }
  void prefetch_other_lines(std::uint32_t block) const {
    if (block >= geometry_.blocks_per_shard) return;
    const auto* bytes = reinterpret_cast<const std::byte*>(parts_.block(block));
    for (std::uint32_t at = kCacheLineBytes; at < geometry_.block_bytes(); at += kCacheLineBytes) {
      ask_for_line(bytes + at);
    }
  }

  /// The next profile in index order: kFound with a copy, kAbsent at the end, kBusy for one that
  /// kept changing (the cursor has moved past it). Since entries never move, whoever is there from
  /// the first call to the last is seen exactly once.
  ReadOutcome next(ShardCursor& cursor, ProfileCopy& copy) const {
    const std::uint64_t end = std::uint64_t{geometry_.bucket_count()} * kEntriesPerBucket;
    while (cursor.position < end) {
      const IndexEntry& slot = parts_.entry(cursor.position++);
      for (std::uint32_t attempts = 0;;) {
        const std::uint64_t entry = slot.load(std::memory_order_acquire);  // SYNC(table.publish)
        if (entry == 0) break;
        const Attempt attempt = copy_version(slot, entry, copy);
        if (attempt == Attempt::kWhole) return ReadOutcome::kFound;
        if (attempt != Attempt::kChanged) break;
        if (++attempts == kReadAttemptsMax) return ReadOutcome::kBusy;
      }
    }
    return ReadOutcome::kAbsent;
  }

  /// Calls `visit(ProfileCopy&)` for every profile, copied into `copy`. Returns how many were busy.
  template <typename Visit>
  std::uint64_t for_each(ProfileCopy& copy, Visit&& visit) const {
    std::uint64_t busy_count = 0;
    for (ShardCursor cursor;;) {
      const ReadOutcome outcome = next(cursor, copy);
      if (outcome == ReadOutcome::kAbsent) return busy_count;
      if (outcome == ReadOutcome::kFound) visit(copy);
      if (outcome == ReadOutcome::kBusy) ++busy_count;
    }
  }

  /// Applied events of the shard, as its owner last stored it.
  [[nodiscard]] std::uint64_t sequence() const {
    return parts_.header().sequence.load(std::memory_order_acquire);  // SYNC(table.sequence)
  }
  [[nodiscard]] const ShardLayout& header() const { return parts_.header(); }
  [[nodiscard]] const TableGeometry& geometry() const { return geometry_; }

 private:
  enum class Attempt : std::uint8_t { kWhole, kChanged, kNotABlock };

  Attempt copy_version(const IndexEntry& slot, std::uint64_t entry, ProfileCopy& copy) const {
    const std::uint32_t block = block_of(entry);
    if (block >= geometry_.blocks_per_shard) return Attempt::kNotABlock;
    const BlockWord* words = parts_.block(block);
    // The lines of a cold block are asked for all at once: their misses overlap.
    for (std::uint32_t byte = 0; byte < geometry_.block_bytes(); byte += kCacheLineBytes) {
      ask_for_line(reinterpret_cast<const std::byte*>(words) + byte);
    }
    Looks::between(ReadStep::kEntryLoaded);
    // SYNC(table.stamp): every word of the build that stored this stamp is there, or newer.
    const std::uint64_t stamp = words[0].load(std::memory_order_acquire);
    if (stamp == 0) return Attempt::kChanged;
    Looks::between(ReadStep::kStampLoaded);
    const std::uint32_t count = geometry_.block_bytes() / 8;
    const std::uint32_t half = count / 2;
    load_words(words, copy.memory(), half);
    Looks::between(ReadStep::kCopying);
    load_words(words + half, static_cast<char*>(copy.memory()) + std::size_t{half} * 8,
               count - half);
    // SYNC(table.rebuild): if a word above came from a newer build, its zero stamp is seen below.
    fence_acquire();
    Looks::between(ReadStep::kCopied);
    if constexpr (Looks::kEntryAgain) {
      // SYNC(table.publish): the same entry published anew brings its new stamp with it.
      if (slot.load(std::memory_order_acquire) != entry) return Attempt::kChanged;
    }
    Looks::between(ReadStep::kEntryAgain);
    if constexpr (Looks::kStampAgain) {
      if (words[0].load(std::memory_order_relaxed) != stamp) return Attempt::kChanged;
    }
    return Attempt::kWhole;
  }

  [[nodiscard]] std::uint32_t next_bucket(std::uint32_t bucket) const {
    // SYNC(table.link): the bucket behind the link is empty or filled, never garbage.
    const std::uint32_t link = parts_.link(bucket).load(std::memory_order_acquire);
    if (link == 0 || link > geometry_.overflow_buckets) return kNoBucket;
    return geometry_.main_buckets + link - 1;
  }

  ShardParts<const std::byte> parts_;
  TableGeometry geometry_{};
  HashSecret secret_{};
};

}  // namespace deja
