// What the keeper leaves of the events that `deja trace` follows (ring/trace_layout.h): when each
// was durable, and when Redis had its shard up to it. The keeper's thread.
//
// A cursor for each worker and ring goes along the followed events as their ring's durable position
// does. Which shard and sequence an event has is in its worker's mark, which may come later than
// the journal's sync: so from a second cursor on they are sorted by shard, to wait for the
// watermark.
//
//   number:   0 … handed │ … durable │ … count
//                        └ sync seen, worker's mark not read yet
//   A keeper that takes over begins at the oldest slot; what its predecessor marked it finds
//   marked.
#pragma once

#include <cstdint>
#include <vector>

#include "ring/positions.h"
#include "ring/trace_cell.h"
#include "shm/segment.h"

namespace deja {

class KeeperTrace {
 public:
  /// `watermarks`: the keeper's, by shard; outlive this.
  [[nodiscard]] static Result<KeeperTrace> open(const Segment& segment,
                                                const std::atomic<std::uint64_t>* watermarks);

  /// Durable positions have moved; `positions` are all of them (DurableLayout). `durable_ns` was
  /// read before they moved: no answer may seem earlier than what it is for, unless a kill left the
  /// mark to a successor.
  void durable(const PositionLayout* positions, std::int64_t durable_ns);
  /// The watermark of that shard has.
  void flushed(std::uint32_t shard);
  /// Looks for workers' marks that had not been there. Now and then.
  void tend() {
    if (unhanded_ != 0) hand_over();
  }

 private:
  struct Lane {
    const TraceLaneLayout* slots;
    const WorkerTraceLayout* worker;
    KeeperTraceLayout* marks;
    std::uint64_t durable = 0;  ///< the first number that is not known to be
    std::uint64_t handed = 0;   ///< the first that no shard waits with
  };
  struct Waiting {
    std::uint32_t lane;
    std::uint64_t number;
    std::uint64_t sequence;
  };
  struct Files {
    std::vector<MappedFile> ingest;
    std::vector<MappedFile> workers;
    MappedFile own;
  };
  KeeperTrace(Files files, const Segment& segment, const std::atomic<std::uint64_t>* watermarks);
  void mark_durable(Lane& lane, std::uint64_t position, std::int64_t durable_ns);
  void hand_over();
  void hand_over(std::uint32_t at);
  void wait_for_shard(std::uint32_t shard, const Waiting& waiting);
  void mark_flushed(const Waiting& waiting, std::int64_t now_ns);
  [[nodiscard]] bool holds(const Waiting& waiting) const {
    return mark(lanes_[waiting.lane], waiting.number).owner.load(std::memory_order_relaxed) ==
           waiting.number + 1;
  }
  [[nodiscard]] TraceCellLayout<KeeperMark>& mark(const Lane& lane, std::uint64_t number) const {
    return lane.marks->marks[number % kTraceSlots];
  }

  Files files_;
  const std::atomic<std::uint64_t>* watermarks_;
  std::vector<Lane> lanes_;                     // [worker × ring_count + ring]
  std::vector<std::vector<Waiting>> by_shard_;  // oldest first
  std::uint64_t unhanded_ = 0;                  // of all lanes: durable and not handed over
};

}  // namespace deja
