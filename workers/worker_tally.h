// Counts of the log's records that the shards' sequences do not count, exact across kills. Applied
// events are counted by the sequences; these have none, and a count that is raised before or after
// the position that covers it would be off by a batch when the worker dies in between. Likewise of
// the sequences that belong to no applied event: merges have one, and an event struck dead after it
// was logged had one already. So there are two tallies
// in file worker-<w>, written in turn: the counts as of a log position. The one that counts is the
// one at applied_position; the other is the next one, half-written perhaps, or the last.
//
//   write the other tally's counts, then its position │ applied_position = that position
//
// One thread of the worker that owns the file. No allocation.
#pragma once

#include <cstdint>

#include "ring/log_record.h"
#include "ring/positions.h"

namespace deja {

struct Tally {
  std::uint64_t duplicate_count = 0;
  std::uint64_t refused_count = 0;
  std::uint64_t dead_count = 0;
  std::uint64_t eventless_count = 0;

  void count(LogKind kind, RefusalReason reason) {
    if (reason == RefusalReason::kRejected) return;  // no event: ingest has counted it
    if (kind == LogKind::kDuplicate) ++duplicate_count;
    if (kind == LogKind::kRefused) ++refused_count;
    if (kind == LogKind::kDead) ++dead_count;
    if (kind == LogKind::kMerged) ++eventless_count;
  }
  /// For the decision about an event that was logged as applied.
  void strike_dead() {
    ++dead_count;
    ++eventless_count;
  }
};

/// The counts as of `applied_position`.
[[nodiscard]] inline Tally read_tally(const WorkerLayout& worker, std::uint64_t applied_position) {
  for (const TallyLayout& tally : worker.tallies) {
    if (tally.position.load(std::memory_order_relaxed) == applied_position) {
      return {tally.duplicate_count.load(std::memory_order_relaxed),
              tally.refused_count.load(std::memory_order_relaxed),
              tally.dead_count.load(std::memory_order_relaxed),
              tally.eventless_count.load(std::memory_order_relaxed)};
    }
  }
  return {};
}

/// Before applied_position becomes `position`, which lies behind what it is now.
inline void write_tally(WorkerLayout& worker, std::uint64_t applied_position,
                        std::uint64_t position, const Tally& counts) {
  const bool first_counts =
      worker.tallies[0].position.load(std::memory_order_relaxed) == applied_position;
  TallyLayout& other = worker.tallies[first_counts ? 1 : 0];
  // Nobody else reads it while this process lives, and a kill respects the order of stores.
  other.duplicate_count.store(counts.duplicate_count, std::memory_order_relaxed);
  other.refused_count.store(counts.refused_count, std::memory_order_relaxed);
  other.dead_count.store(counts.dead_count, std::memory_order_relaxed);
  other.eventless_count.store(counts.eventless_count, std::memory_order_relaxed);
  other.position.store(position, std::memory_order_release);
}

}  // namespace deja
