// Takes what one worker logged. Every record is copied out of the ring and checked before it means
// anything: a worker may be broken or hostile. What an applied event touched goes into the
// TouchedSet; the space is given back by storing drained_position. The keeper's thread alone.
//
// Here a journal comes in between: records that were drained but not yet synced are kept for it,
// and durable_position is stored behind what it synced. Without one it stays 0.
//
//  1. A broken record is counted and named, and the shards of its worker are walked, since it can't
//     be known what it had touched. Nothing is skipped silently.
//  2. A ring that makes no sense at all ends this log for good: nothing behind it can be read, its
//     space is not given back, and its worker's shards are walked in every round.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ring/log_record.h"
#include "ring/positions.h"
#include "ring/spsc_ring.h"
#include "shm/segment.h"
#include "workers/keeper/keeper_counters.h"
#include "workers/keeper/touched_set.h"

namespace deja {

class LogDrain {
 public:
  /// `positions` lies in the keeper's file, mapped for writing.
  [[nodiscard]] static Result<LogDrain> open(const Segment& segment, std::uint32_t worker,
                                             KeeperLogLayout* positions);

  /// Takes what was published when the call began, `records_max` at most. Returns how many.
  std::uint64_t drain(TouchedSet& touched, KeeperCounters& counters, ProcessFile& process,
                      std::uint64_t records_max = ~std::uint64_t{0});

  [[nodiscard]] bool empty() const { return broken_ || consumer_.empty(); }
  [[nodiscard]] bool broken() const { return broken_; }

 private:
  LogDrain(MappedFile file, const TableGeometry& geometry, std::uint32_t worker,
           KeeperLogLayout* positions);
  /// Empty when the record was understood, else what is wrong with it.
  [[nodiscard]] const char* take(const RingRecord& record, TouchedSet& touched,
                                 KeeperCounters& counters);
  void walk_shards(TouchedSet& touched) const;

  MappedFile file_;
  RingConsumer consumer_;
  TableGeometry geometry_;
  std::uint32_t worker_;
  bool broken_ = false;
  std::vector<std::uint64_t> record_;  // the copy, of whole words
};

}  // namespace deja
