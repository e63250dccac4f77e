// How an owner takes a shard over: format or check, then sweep. Part of ShardWriter.
#include <string>
#include <vector>

#include "shm/shard_writer.h"

namespace deja {
namespace {

constexpr const char* kRemedy =
    "Stop the appliance and start it again: it makes a new segment and reads the profiles back";

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

Status ShardWriter::sweep() {
  ShardLayout& header = parts_.header();
  std::vector<bool> block_used(geometry_.blocks_per_shard);
  std::vector<bool> bucket_linked(geometry_.bucket_count());
  std::uint64_t used_count = 0;
  std::vector<char> memory(geometry_.block_bytes() + 8);
  ProfileCopy head(memory.data(), geometry_);
  const std::uint32_t head_words = (TableGeometry::kBlockHeaderBytes + geometry_.key_bytes) / 8;

  for (std::uint32_t main = 0; main < geometry_.main_buckets; ++main) {
    std::uint32_t bucket = main;
    for (std::uint32_t hop = 1;; ++hop) {
      bucket_linked[bucket] = true;
      for (const IndexEntry& slot : parts_.bucket(bucket).entries) {
        const std::uint64_t entry = slot.load(std::memory_order_relaxed);
        if (entry == 0) continue;
        const std::uint32_t block = block_of(entry);
        if (block >= geometry_.blocks_per_shard || block_used[block]) {
          return damaged(header, "an entry points to a block that is not there or has another");
        }
        load_words(parts_.block(block), head.memory(), head_words);
        const BlockHeaderLayout block_header = head.header();
        if (block_header.stamp == 0 || block_header.key_size == 0 ||
            block_header.key_size > geometry_.key_bytes) {
          return damaged(header, "a published block is not whole");
        }
        const std::uint64_t hash = keyed_hash(secret_, head.key());
        if (tag_of(hash) != tag_of_entry(entry) ||
            main_bucket_of(hash, geometry_.main_buckets) != main) {
          return damaged(header, "a profile lies in a bucket that is not its own");
        }
        block_used[block] = true;
        ++used_count;
        partial_count_ += head.partial() ? 1 : 0;
      }
      const std::uint32_t link = parts_.link(bucket).load(std::memory_order_relaxed);
      if (link == 0) break;
      if (link > geometry_.overflow_buckets || hop == kChainBucketsMax ||
          bucket_linked[geometry_.main_buckets + link - 1]) {
        return damaged(header, "a chain of buckets is broken");
      }
      bucket = geometry_.main_buckets + link - 1;
    }
  }

  for (std::uint32_t overflow = geometry_.overflow_buckets; overflow-- > 0;) {
    const std::uint32_t bucket = geometry_.main_buckets + overflow;
    if (bucket_linked[bucket]) continue;
    for (const IndexEntry& slot : parts_.bucket(bucket).entries) {
      if (slot.load(std::memory_order_relaxed) != 0) {
        return damaged(header, "a bucket outside of all chains is not empty");
      }
    }
    free_overflow_.push_back(overflow);
  }
  next_stamp_ = header.next_stamp.load(std::memory_order_relaxed);
  for (std::uint32_t block = geometry_.blocks_per_shard; block-- > 0;) {
    const std::uint64_t stamp = parts_.block(block)[0].load(std::memory_order_relaxed);
    if (stamp >= next_stamp_) next_stamp_ = stamp + 1;
    if (!block_used[block]) pool_.rest(block);
  }
  if (next_stamp_ == 0) return damaged(header, "its stamps are used up");
  header.used_count.store(used_count, std::memory_order_relaxed);
  header.overflow_count.store(geometry_.overflow_buckets - free_overflow_.size(),
                              std::memory_order_relaxed);
  return Done{};
}

}  // namespace deja
