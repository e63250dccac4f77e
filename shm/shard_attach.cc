// How an owner takes a shard over: format or check, then sweep. Part of ShardWriter.
#include <algorithm>
#include <string>
#include <vector>

#include "shm/shard_writer.h"

namespace deja {
namespace {

constexpr const char* kRemedy =
    "Stop the appliance and start it again: it makes a new segment and reads the profiles back";

/// Half of what a word holds: at a thousand million changes a second, some 290 years.
constexpr std::uint64_t kStampEnd = std::uint64_t{1} << 63U;

/// Which entry points to a block: main bucket and tag. Main buckets are fewer than 2³⁰, so no claim
/// is kUnclaimed.
constexpr std::uint64_t kUnclaimed = ~std::uint64_t{0};
constexpr std::uint64_t claim_of(std::uint32_t main_bucket, std::uint32_t tag) {
  return (std::uint64_t{main_bucket} << 32U) | tag;
}

Error damaged(const ShardLayout& shard, const std::string& what) {
  return Error{"attach to shard " + std::to_string(shard.shard) + " of the profile table: " + what,
               0, kRemedy};
}

}  // namespace

Result<ShardWriter> ShardWriter::attach(void* shard_memory, const TableGeometry& geometry,
                                        std::uint32_t shard, const HashSecret& secret,
                                        std::uint32_t reuse_blocks) {
  CHECK(reinterpret_cast<std::uintptr_t>(shard_memory) % kCacheLineBytes == 0);
  if (!geometry_is_sane(geometry)) {
    return Error{"attach to a shard of the profile table: its sizes can't be", 0, kRemedy};
  }
  ShardWriter writer(shard_memory, geometry, secret, reuse_blocks);
  // Acquire for form's sake: an owner's predecessor is dead.
  if (writer.parts_.header().magic.load(std::memory_order_acquire) == 0) writer.format(shard);
  if (Status status = writer.check_header(shard); !status) return status.error();
  if (Status status = writer.sweep(); !status) return status.error();
  return writer;
}

void ShardWriter::format(std::uint32_t shard) {
  ShardLayout& header = parts_.header();
  header.shard = shard;
  header.blocks_per_shard = geometry_.blocks_per_shard;
  header.main_buckets = geometry_.main_buckets;
  header.overflow_buckets = geometry_.overflow_buckets;
  header.key_bytes = geometry_.key_bytes;
  header.frame_bytes = geometry_.frame_bytes;
  header.next_stamp.store(1, std::memory_order_relaxed);
  // SYNC(table.format): the counts above are there for whoever sees the magic.
  header.magic.store(kShardMagic, std::memory_order_release);
}

Status ShardWriter::check_header(std::uint32_t shard) const {
  const ShardLayout& header = parts_.header();
  if (header.magic.load(std::memory_order_acquire) != kShardMagic || header.shard != shard ||
      header.blocks_per_shard != geometry_.blocks_per_shard ||
      header.main_buckets != geometry_.main_buckets ||
      header.overflow_buckets != geometry_.overflow_buckets ||
      header.key_bytes != geometry_.key_bytes || header.frame_bytes != geometry_.frame_bytes) {
    return damaged(header, "its header belongs to another layout");
  }
  return Done{};
}

// Two passes, each over memory in its order: first the index says which blocks it points to, then
// the blocks are looked at one after the other. Following each entry to its block would meet one
// cold line after the other, which is half of what a million profiles cost (bench/restart_main.cc).
Status ShardWriter::sweep() {
  ShardLayout& header = parts_.header();
  std::vector<std::uint64_t> claims(geometry_.blocks_per_shard, kUnclaimed);
  if (Status status = sweep_index(claims); !status) return status;
  if (Status status = sweep_blocks(claims); !status) return status;
  std::uint64_t used_count = 0;
  for (std::uint32_t block = geometry_.blocks_per_shard; block-- > 0;) {
    if (claims[block] == kUnclaimed) {
      pool_.rest(block);
    } else {
      ++used_count;
    }
  }
  header.used_count.store(used_count, std::memory_order_relaxed);
  header.overflow_count.store(geometry_.overflow_buckets - free_overflow_.size(),
                              std::memory_order_relaxed);
  return Done{};
}

/// Notes for each block the entry that points to it, and which overflow buckets are in no chain.
Status ShardWriter::sweep_index(std::vector<std::uint64_t>& claims) {
  const ShardLayout& header = parts_.header();
  std::vector<bool> linked(geometry_.overflow_buckets);
  for (std::uint32_t main = 0; main < geometry_.main_buckets; ++main) {
    std::uint32_t bucket = main;
    for (std::uint32_t hop = 1;; ++hop) {
      for (const IndexEntry& slot : parts_.bucket(bucket).entries) {
        const std::uint64_t entry = slot.load(std::memory_order_relaxed);
        if (entry == 0) continue;
        const std::uint32_t block = block_of(entry);
        if (block >= geometry_.blocks_per_shard || claims[block] != kUnclaimed) {
          return damaged(header, "an entry points to a block that is not there or has another");
        }
        claims[block] = claim_of(main, tag_of_entry(entry));
      }
      const std::uint32_t link = parts_.link(bucket).load(std::memory_order_relaxed);
      if (link == 0) break;
      if (link > geometry_.overflow_buckets || hop == kChainBucketsMax || linked[link - 1]) {
        return damaged(header, "a chain of buckets is broken");
      }
      linked[link - 1] = true;
      bucket = geometry_.main_buckets + link - 1;
    }
  }
  for (std::uint32_t overflow = geometry_.overflow_buckets; overflow-- > 0;) {
    if (linked[overflow]) continue;
    for (const IndexEntry& slot : parts_.bucket(geometry_.main_buckets + overflow).entries) {
      if (slot.load(std::memory_order_relaxed) != 0) {
        return damaged(header, "a bucket outside of all chains is not empty");
      }
    }
    free_overflow_.push_back(overflow);
  }
  return Done{};
}

/// Holds each block that an entry points to against that entry, and finds the highest stamp.
Status ShardWriter::sweep_blocks(const std::vector<std::uint64_t>& claims) {
  const ShardLayout& header = parts_.header();
  std::vector<char> memory(geometry_.block_bytes() + 8);
  ProfileCopy head(memory.data(), geometry_);
  constexpr std::uint32_t kHeaderWords = TableGeometry::kBlockHeaderBytes / 8;
  std::uint64_t highest = 0;
  for (std::uint32_t block = 0; block < geometry_.blocks_per_shard; ++block) {
    constexpr std::uint32_t kAhead = 8;
    if (block + kAhead < geometry_.blocks_per_shard) {
      const auto* ahead = reinterpret_cast<const char*>(parts_.block(block + kAhead));
      ask_for_line(ahead);
      ask_for_line(ahead + kCacheLineBytes);
    }
    const BlockWord* words = parts_.block(block);
    const std::uint64_t stamp = words[0].load(std::memory_order_relaxed);
    highest = std::max(highest, stamp);
    if (claims[block] == kUnclaimed) continue;
    load_words(words, head.memory(), kHeaderWords);
    const BlockHeaderLayout block_header = head.header();
    if (block_header.stamp == 0 || block_header.key_size == 0 ||
        block_header.key_size > geometry_.key_bytes) {
      return damaged(header, "a published block is not whole");
    }
    load_words(words + kHeaderWords, memory.data() + TableGeometry::kBlockHeaderBytes,
               (block_header.key_size + 7U) / 8);
    const std::uint64_t hash = keyed_hash(secret_, head.key());
    if (claim_of(main_bucket_of(hash, geometry_.main_buckets), tag_of(hash)) != claims[block]) {
      return damaged(header, "a profile lies in a bucket that is not its own");
    }
    partial_count_ += head.partial() ? 1 : 0;
  }
  // No appliance lives to see the end: stamps that high are not an owner's.
  const std::uint64_t next = header.next_stamp.load(std::memory_order_relaxed);
  if (std::max(highest, next) >= kStampEnd) return damaged(header, "its stamps are used up");
  next_stamp_ = std::max(highest + 1, next);
  return Done{};
}

}  // namespace deja
