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

/// Of the log's records before `position`, those that no shard's sequence counts, by kind, and the
/// sequences that no applied event has (workers/worker_tally.h).
struct alignas(kCacheLineBytes) TallyLayout {
  std::atomic<std::uint64_t> position;
  std::atomic<std::uint64_t> duplicate_count;
  std::atomic<std::uint64_t> refused_count;
  std::atomic<std::uint64_t> dead_count;
  std::atomic<std::uint64_t> eventless_count;  // sequences of merges and of events struck dead
  std::uint64_t reserved[3];
};
static_assert(sizeof(TallyLayout) == kCacheLineBytes);

/// Which record a worker was at, and whether it died of it (workers/worker_attempts.h).
struct AttemptLayout {
  std::atomic<std::uint64_t> position;  // + 1, of the record that is about to be read; 0: none
  std::atomic<std::uint64_t> cause;     // the signal that the fault handler saw, or 128: it hung;
                                        // plus 256 × the strike that it makes; 0: none
  std::atomic<std::uint64_t> strikes;   // deaths of the record at `struck`
  std::atomic<std::uint64_t> struck;    // + 1
  std::uint64_t reserved[4];
};
static_assert(sizeof(AttemptLayout) == kCacheLineBytes);

/// File worker-<w>: WorkerLayout │ attempts: AttemptLayout × (ingest_count + 1), the last one for
/// the log (a redo, its positions those of the log).
struct WorkerLayout {
  PositionLayout applied_position;   // in log-<w>: everything before it has had its effect
  PositionLayout returned_position;  // consumer position of return-<w>
  PositionLayout recovered;          // 1 once kReturnEnd was met: all stored profiles are in
  TallyLayout tallies[2];            // written in turn; the one that counts is at applied_position
  [[nodiscard]] AttemptLayout* attempts() { return reinterpret_cast<AttemptLayout*>(this + 1); }
};
static_assert(sizeof(WorkerLayout) == 5 * kCacheLineBytes);
static_assert(offsetof(WorkerLayout, tallies) == 3 * kCacheLineBytes);
[[nodiscard]] constexpr std::uint64_t worker_file_bytes(std::uint32_t ingest_count) {
  return sizeof(WorkerLayout) + (std::uint64_t{ingest_count} + 1) * sizeof(AttemptLayout);
}

/// File ingest-<i>: for each worker w the consumer position of verdict-<w>-<i>.
[[nodiscard]] constexpr std::uint64_t ingest_file_bytes(std::uint32_t worker_count) {
  return std::uint64_t{worker_count} * sizeof(PositionLayout);
}

/// File keeper: KeeperLayout │ per worker KeeperLogLayout │ per shard a watermark, then per shard a
/// confirmed sequence (8 bytes each, packed).
struct KeeperLayout {
  PositionLayout epoch;      // one life of the writing side; 0 until it is known
  PositionLayout connected;  // 1 while Redis answers
};
struct KeeperLogLayout {
  PositionLayout drained_position;  // in log-<w>: durable and no longer needed; its space is free
};
[[nodiscard]] constexpr std::uint64_t keeper_file_bytes(std::uint32_t worker_count,
                                                        std::uint32_t shard_count) {
  return sizeof(KeeperLayout) + std::uint64_t{worker_count} * sizeof(KeeperLogLayout) +
         2 * round_up(std::uint64_t{shard_count} * 8, kCacheLineBytes);
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
/// confirmed[s]: the watermark as it was redis.loss_window ago and has not been taken back since:
/// a profile whose sequence is not above it may leave the memory.
[[nodiscard]] inline std::atomic<std::uint64_t>* keeper_confirmed(void* file,
                                                                  std::uint32_t worker_count,
                                                                  std::uint32_t shard_count) {
  return keeper_watermarks(file, worker_count) +
         round_up(std::uint64_t{shard_count} * 8, kCacheLineBytes) / 8;
}

/// What the journal is up to, for ingest.
enum class JournalState : std::uint64_t {
  kStarting = 0,  // no keeper has written yet: acks wait
  kWriting = 1,
  kFull = 2,    // the disk has no room: durable acks are refused until it has
  kFailed = 3,  // the disk refuses writes otherwise
};

struct alignas(kCacheLineBytes) JournalStateLayout {
  std::atomic<std::uint64_t> value;      // JournalState
  std::atomic<std::int64_t> durable_us;  // wall clock when the newest group was synced; 0: none yet
  std::uint64_t reserved[6];
};
static_assert(sizeof(JournalStateLayout) == kCacheLineBytes);
static_assert(offsetof(JournalStateLayout, durable_us) == 8);

/// File durable, the keeper's: state │ for each worker w and ring i, at [w × ingest_count + i], how
/// far ring-<i>-<w> is durable: everything before it that had an effect was synced to the journal.
struct DurableLayout {
  JournalStateLayout state;
  [[nodiscard]] PositionLayout* positions() { return reinterpret_cast<PositionLayout*>(this + 1); }
  [[nodiscard]] const PositionLayout* positions() const {
    return reinterpret_cast<const PositionLayout*>(this + 1);
  }
};
[[nodiscard]] constexpr std::uint64_t durable_file_bytes(std::uint32_t worker_count,
                                                         std::uint32_t ingest_count) {
  return sizeof(DurableLayout) +
         std::uint64_t{worker_count} * ingest_count * sizeof(PositionLayout);
}

}  // namespace deja
