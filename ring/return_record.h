// What the keeper hands back to a worker: ring return-<w>.
//
// At start, before the first event is taken from a ring (the worker is not "recovered" yet):
//   kReturnNeeded   ReturnProfileLayout │ key, padded to 8 │ frame: put in as it was stored; events
//                   of the journal follow for it
//   kReturnProfile  the same of everybody else: put in as long as room for new users is left
//   kReturnIds      ReturnIdsLayout │ id_low, id_high (2 × u64) × count: the ids of a shard's last
//                   events, in the order of their sequences
//   kReturnEvent    ReturnEventLayout │ the EventRecord's words: from the journal, above what the
//                   store had; applied where the profile does not have its sequence yet
//   kReturnShard    ReturnShardLayout: the shard's sequence starts at least there
//   kReturnEnd      8 zero bytes: everything stored has been handed over
//
// Later, in answer to a log record with kLogBeganPartial:
//   kReturnStored   as kReturnProfile: the stored part of a profile that is partial now
//   kReturnNothing  ReturnProfileLayout │ key, with frame_bytes 0: the store has nothing
//
// And for a user whom a renderer misses:
//   kReturnAsked    as kReturnProfile: put in as it was stored where the user is absent; the stored
//                   part where the profile is partial by then
#pragma once

#include <cstddef>
#include <cstdint>

namespace deja {

inline constexpr std::uint32_t kReturnProfile = 1;
inline constexpr std::uint32_t kReturnShard = 2;
inline constexpr std::uint32_t kReturnEnd = 3;
inline constexpr std::uint32_t kReturnEvent = 4;
inline constexpr std::uint32_t kReturnIds = 5;
inline constexpr std::uint32_t kReturnStored = 6;
inline constexpr std::uint32_t kReturnNothing = 7;
inline constexpr std::uint32_t kReturnAsked = 8;
inline constexpr std::uint32_t kReturnNeeded = 9;

/// ReturnShardLayout::flags: the store has profiles of this shard that were not handed over, since
/// the table has no room for all of them.
inline constexpr std::uint32_t kReturnShardHasAbsent = 1;

struct ReturnProfileLayout {
  std::uint64_t sequence;
  std::int64_t updated_us;
  std::uint32_t late;
  std::uint32_t shard;
  std::uint32_t frame_bytes;  // Catalog.frameBytes
  std::uint16_t flags;
  std::uint8_t key_size;
  std::uint8_t key_namespace;
  std::uint64_t reserved[2];
};
static_assert(sizeof(ReturnProfileLayout) == 48);

struct ReturnShardLayout {
  std::uint64_t sequence;
  std::uint32_t shard;
  std::uint32_t flags;
};
static_assert(sizeof(ReturnShardLayout) == 16);

struct ReturnEventLayout {
  std::uint64_t sequence;
  std::uint32_t shard;
  std::uint32_t event_bytes;
};
static_assert(sizeof(ReturnEventLayout) == 16);

struct ReturnIdsLayout {
  std::uint32_t shard;
  std::uint32_t count;
};
static_assert(sizeof(ReturnIdsLayout) == 8);

}  // namespace deja
