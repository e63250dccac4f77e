// The first file of an appliance: who it is and how the others are laid out. The supervisor makes
// it, everybody else reads it. Libc alone.
//
// File <directory>/deja-<name>/superblock, one page. All other files carry the incarnation in their
// names ("profiles-0.17"), so a new segment is a set of new files and one rename of this one over
// the old: whoever holds the old one sees `state` become kSuperseded and attaches again.
//
// Invariants
//  1. `magic` is stored last (release): a superblock without it is still being made.
//  2. Everything but `state` and `heartbeat_us` is constant once magic is there.
//  3. A reader checks magic, layout_version and layout_hash, then copies and checks every count
//     against the sizes of the files before using one: the file may be anybody's.
//  4. magic, layout_version, layout_hash, incarnation, boot_id, heartbeat_us and state lie where
//  they
//     lie in every layout: a program of another one tells this one's readers that it has superseded
//     it, and knows whether something accepted may lie in it alone.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace deja {

inline constexpr std::uint64_t kSuperblockMagic = 0x314d4853414a4544;  // "DEJASHM1"
inline constexpr std::uint32_t kLayoutVersion = 5;

enum class SegmentState : std::uint32_t {
  kStarting = 0,  ///< files are there, profiles are being read back
  kServing = 1,
  kDraining = 2,    ///< no new events; what was accepted is being applied and flushed
  kStopped = 3,     ///< nobody writes any more; profiles stay readable while mapped
  kSuperseded = 4,  ///< a newer superblock has taken the name
  kDrained = 5,     ///< nobody writes any more, all is durable; read on until one is superseded
};

/// Renderers attach again: its files go, or have gone.
[[nodiscard]] constexpr bool readers_must_leave(SegmentState state) {
  return state == SegmentState::kStopped || state == SegmentState::kSuperseded;
}
/// Nobody writes it any more, and nothing that it accepted is in it alone.
[[nodiscard]] constexpr bool has_ended(SegmentState state) {
  return readers_must_leave(state) || state == SegmentState::kDrained;
}

enum class ShardFunction : std::uint32_t { kMurmur2 = 1 };

struct SuperblockLayout {
  std::atomic<std::uint64_t> magic;
  std::uint32_t layout_version;
  std::uint32_t layout_hash;  // shm/layout_hash.h: sizes and offsets
  std::uint64_t incarnation;  // one life of the segment: wall clock at creation, us
  std::uint8_t boot_id[16];   // of /proc/sys/kernel/random/boot_id
  std::int64_t created_us;
  std::int64_t supervisor_pid;
  std::uint64_t hash_secret[2];  // keys the index, drawn per incarnation
  std::uint64_t catalog_hash;
  std::uint64_t catalog_bytes;
  std::uint32_t ingest_count;  // ingest threads = rings per worker
  std::uint32_t worker_count;
  std::uint32_t shard_count;
  ShardFunction shard_function;
  std::uint32_t blocks_per_shard;
  std::uint32_t main_buckets;
  std::uint32_t overflow_buckets;
  std::uint32_t key_bytes;
  std::uint32_t frame_bytes;
  std::uint32_t reuse_blocks;  // length of the FIFO before a block is used again
  std::uint64_t ring_bytes;
  std::uint64_t log_bytes;
  std::uint64_t return_bytes;
  std::uint64_t verdict_bytes;
  std::uint64_t dedup_window;
  char appliance[40];  // zero-terminated name
  std::atomic<SegmentState> state;
  std::uint32_t reserved;
  std::atomic<std::int64_t> heartbeat_us;  // of the supervisor, wall clock
};
static_assert(sizeof(SuperblockLayout) == 224);
static_assert(offsetof(SuperblockLayout, appliance) == 168);
static_assert(offsetof(SuperblockLayout, state) == 208);

}  // namespace deja
