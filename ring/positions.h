// The small files in which each process keeps the positions that it alone writes. Every position is
// an atomic on a cache line of its own. `consumed-<w>`, which renderers map too, is
// shm/consumed_layout.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "shm/base/cache_line.h"

namespace deja {

struct alignas(kCacheLineBytes) PositionLayout {
  std::atomic<std::uint64_t> value;
};
static_assert(sizeof(PositionLayout) == kCacheLineBytes);

/// How many of the log's records before `position` had no effect, by kind (workers/worker_tally.h).
struct TallyLayout {
  std::atomic<std::uint64_t> position;
  std::atomic<std::uint64_t> duplicate_count;
  std::atomic<std::uint64_t> refused_count;
  std::atomic<std::uint64_t> dead_count;
};
static_assert(sizeof(TallyLayout) == 32);

/// File worker-<w>: WorkerLayout │ attempt: PositionLayout × ingest_count.
struct WorkerLayout {
  PositionLayout applied_position;   // in log-<w>: everything before it has had its effect
  PositionLayout returned_position;  // consumer position of return-<w>
  PositionLayout recovered;          // 1 once kReturnEnd was met: all stored profiles are in
  alignas(kCacheLineBytes) TallyLayout tallies[2];  // written in turn; the one that counts is at
                                                    // applied_position
  /// attempt[r]: position + 1 of the record of ring r that is about to be read for the first time.
  [[nodiscard]] PositionLayout* attempts() { return reinterpret_cast<PositionLayout*>(this + 1); }
};
static_assert(sizeof(WorkerLayout) == 4 * kCacheLineBytes);
static_assert(offsetof(WorkerLayout, tallies) == 3 * kCacheLineBytes);
[[nodiscard]] constexpr std::uint64_t worker_file_bytes(std::uint32_t ingest_count) {
  return sizeof(WorkerLayout) + std::uint64_t{ingest_count} * sizeof(PositionLayout);
}

/// File ingest-<i>: for each worker w the consumer position of verdict-<w>-<i>.
[[nodiscard]] constexpr std::uint64_t ingest_file_bytes(std::uint32_t worker_count) {
  return std::uint64_t{worker_count} * sizeof(PositionLayout);
}

/// File keeper: KeeperLayout │ per worker KeeperLogLayout │ per shard a watermark (PositionLayout's
/// 8 bytes, packed).
struct KeeperLayout {
  PositionLayout epoch;      // one life of the writing side; 0 until it is known
  PositionLayout connected;  // 1 while Redis answers
};
struct KeeperLogLayout {
  PositionLayout drained_position;  // in log-<w>: the keeper has taken what is before it
  PositionLayout durable_position;  // in log-<w>: synced to the journal
};
[[nodiscard]] constexpr std::uint64_t keeper_file_bytes(std::uint32_t worker_count,
                                                        std::uint32_t shard_count) {
  return sizeof(KeeperLayout) + std::uint64_t{worker_count} * sizeof(KeeperLogLayout) +
         round_up(std::uint64_t{shard_count} * 8, kCacheLineBytes);
}
[[nodiscard]] inline KeeperLogLayout* keeper_logs(void* file) {
  return reinterpret_cast<KeeperLogLayout*>(static_cast<std::uint8_t*>(file) +
                                            sizeof(KeeperLayout));
}
/// watermark[s]: the shard.sequence up to which Redis is known to have the shard.
[[nodiscard]] inline std::atomic<std::uint64_t>* keeper_watermarks(void* file,
                                                                   std::uint32_t worker_count) {
  return reinterpret_cast<std::atomic<std::uint64_t>*>(static_cast<std::uint8_t*>(file) +
                                                       sizeof(KeeperLayout) +
                                                       worker_count * sizeof(KeeperLogLayout));
}

}  // namespace deja
