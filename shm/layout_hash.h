// The layout's fingerprint: one number over the sizes and offsets of everything in shared memory
// that a renderer reads. It stands in the superblock; a library built for another layout refuses to
// read instead of reading nonsense. Libc alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shm/block.h"
#include "shm/consumed_layout.h"
#include "shm/superblock.h"
#include "shm/table_layout.h"

namespace deja {

/// FNV-1a over the numbers that make the layout.
[[nodiscard]] constexpr std::uint32_t layout_hash() {
  constexpr std::size_t kNumbers[] = {
      kLayoutVersion,
      sizeof(SuperblockLayout),
      offsetof(SuperblockLayout, hash_secret),
      offsetof(SuperblockLayout, ingest_count),
      offsetof(SuperblockLayout, ring_bytes),
      offsetof(SuperblockLayout, appliance),
      offsetof(SuperblockLayout, state),
      sizeof(ShardLayout),
      offsetof(ShardLayout, sequence),
      sizeof(BucketLayout),
      kEntriesPerBucket,
      kChainBucketsMax,
      TableGeometry::kShardHeaderBytes,
      TableGeometry::kBlockHeaderBytes,
      sizeof(ConsumedLayout),
      sizeof(ConsumedRingLayout),
  };
  std::uint32_t hash = 2166136261U;
  for (const std::size_t number : kNumbers) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
      hash = (hash ^ static_cast<std::uint32_t>((number >> shift) & 0xffU)) * 16777619U;
    }
  }
  return hash;
}

}  // namespace deja
