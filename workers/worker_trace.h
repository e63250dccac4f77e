// What a worker leaves of the events that `deja trace` follows (ring/trace_layout.h): when it took
// each, when its effect was out, and what became of it. Beside the step, not of it: nothing waits
// for it, and a worker that is killed in here leaves at most a mark that its successor makes anew
// (redone()). That worker's thread; allocates in its constructor alone.
//
// Nobody follows anything: one load and a comparison per batch (due()).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ring/log_record.h"
#include "ring/trace_cell.h"
#include "workers/worker_batch.h"

namespace deja {

class WorkerTrace {
 public:
  /// `marks`: trace-worker-<w>, for writing. `slots`, by ring: of each ingest thread the lane of
  /// this worker, read-only.
  WorkerTrace(WorkerTraceLayout* marks, const std::vector<const TraceLaneLayout*>& slots);

  /// Whether that ring's ingest thread follows an event that was not met yet.
  [[nodiscard]] bool due(std::uint32_t ring) const {
    // SYNC(trace.count): may now read the slots before it.
    return rings_[ring].slots->count.load(std::memory_order_acquire) != rings_[ring].cursor;
  }
  /// When a record was taken, and by when its effect was out.
  struct Times {
    std::int64_t taken_ns;
    std::int64_t visible_ns;
  };
  /// Of what was taken at `taken_us` (wall clock) and has its effect now. To be asked before
  /// anybody is told so: no answer may seem earlier than what it is for, unless a kill left the
  /// mark to a successor.
  [[nodiscard]] static Times times_since(std::int64_t taken_us);
  /// A batch of that ring has had its effect. The log's record of each is still there, before its
  /// event.
  void passed(std::uint32_t ring, std::span<const BatchRecord> batch, const Times& times);
  /// Likewise a record of a predecessor's batch.
  void redone(const LogRecordLayout& record);

 private:
  struct Ring {
    const TraceLaneLayout* slots;
    WorkerTraceLayout* marks;
    std::uint64_t cursor;           ///< the first number that was not passed
    std::uint64_t waiting_end = 0;  ///< where its event ends, as far as that is known
  };
  void pass(Ring& ring, const LogRecordLayout& record, const Times& times);

  std::vector<Ring> rings_;
};

}  // namespace deja
