// What a libdeja handle holds: mapped files, checked counts, the features. Made by open.cc,
// constant till reattach; hence read by any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "shm/consumed_layout.h"
#include "shm/deja.h"
#include "shm/feature_spec.h"
#include "shm/keyed_hash.h"
#include "shm/segment_names.h"
#include "shm/shard_reader.h"
#include "shm/superblock.h"
#include "shm/table_geometry.h"

namespace deja::libdeja {

/// One file, mapped whole and read-only.
struct Mapping {
  const std::byte* data = nullptr;
  std::size_t bytes = 0;
};

struct Feature {
  FeatureSpec spec;
  bool readable = false;  ///< false: of a type that this library does not know
  const char* name = "";
};

/// What the caller's memory holds: who filled it, then the block's bytes.
struct ProfileLayout {
  std::uint64_t incarnation;  ///< 0: unfilled
  std::uint32_t key_bytes;
  std::uint32_t frame_bytes;
};
static_assert(sizeof(ProfileLayout) == 16);

/// All that belongs to one incarnation, replaced whole by a reattach.
struct Attachment {
  Mapping superblock;
  Mapping* profiles = nullptr;         // by worker
  Mapping* consumed = nullptr;         // by worker
  const std::byte** shards = nullptr;  // by shard: where it lies
  char* catalog = nullptr;             // a private copy
  Feature* features = nullptr;
  std::uint32_t feature_count = 0;
  std::uint32_t ingest_count = 0;
  std::uint64_t incarnation = 0;
  TableGeometry geometry;
  HashSecret secret{};

  [[nodiscard]] const SuperblockLayout& header() const {
    // Asked only once it is mapped: NOLINTNEXTLINE(clang-analyzer-core.uninitialized.UndefReturn)
    return *reinterpret_cast<const SuperblockLayout*>(superblock.data);
  }
  [[nodiscard]] SegmentState state() const {
    return header().state.load(std::memory_order_acquire);  // SYNC(segment.state)
  }
  [[nodiscard]] bool ended() const { return readers_must_leave(state()); }
  [[nodiscard]] ShardReader<> shard(std::uint32_t number) const {
    return ShardReader<>(shards[number], geometry, secret);
  }
};

/// DEJA_OK when the key can be looked up.
[[nodiscard]] inline deja_status check_key(const Attachment& attachment, const deja_key& key) {
  if (key.bytes == nullptr || key.size == 0 || key.size > kKeyBytesMax || key.name_space > 1) {
    return DEJA_MISUSE;
  }
  return key.size <= attachment.geometry.key_bytes ? DEJA_OK : DEJA_UNKNOWN;
}

[[nodiscard]] inline Key key_from(const deja_key& key) {
  return {static_cast<KeyNamespace>(key.name_space), key.bytes, key.size};
}

[[nodiscard]] inline ShardReader<> shard_for(const Attachment& attachment, const Key& key) {
  return attachment.shard(shard_of(key, attachment.geometry.shard_count));
}

/// Fills `features` from the message in `catalog` (bytes of anybody). False: damaged, or no memory
/// (`*no_memory`). The names point into `catalog`.
[[nodiscard]] bool read_catalog(const char* catalog, std::size_t bytes, std::uint32_t frame_bytes,
                                Attachment& into, bool* no_memory);

}  // namespace deja::libdeja

struct deja_appliance {
  deja::libdeja::Attachment attachment;
  bool allow_stale = false;
  mutable std::atomic<std::uint64_t> busy_count{0};
  char name[40] = {};
  char directory[deja::kPathBytesMax] = {};
};
