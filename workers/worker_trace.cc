#include "workers/worker_trace.h"

#include <algorithm>
#include <cstring>

#include "shm/base/clock.h"

namespace deja {

WorkerTrace::WorkerTrace(WorkerTraceLayout* marks,
                         const std::vector<const TraceLaneLayout*>& slots) {
  for (const TraceLaneLayout* lane : slots) {
    rings_.push_back({lane, marks, marks->count.load(std::memory_order_relaxed)});
    ++marks;
  }
}

WorkerTrace::Times WorkerTrace::times_since(std::int64_t taken_us) {
  const std::int64_t now_ns = steady_ns();
  const std::int64_t age_ns = clock_ns(CLOCK_REALTIME) - taken_us * 1000;
  return {now_ns - std::max<std::int64_t>(age_ns, 0), now_ns};
}

void WorkerTrace::passed(std::uint32_t ring, std::span<const BatchRecord> batch,
                         const Times& times) {
  for (const BatchRecord& record : batch) {
    LogRecordLayout logged;
    std::memcpy(&logged, record.logged, sizeof logged);
    pass(rings_[ring], logged, times);
    if (!due(ring)) break;
  }
}

void WorkerTrace::redone(const LogRecordLayout& record) {
  const bool is_decision = record.kind == LogKind::kDead && record.sequence != 0;
  if (record.kind == LogKind::kMerged || is_decision || !due(record.ring)) return;
  pass(rings_[record.ring], record, times_since(record.consumed_us));
}

/// Passes the followed events up to this record's end, and marks the one that it is, if any.
void WorkerTrace::pass(Ring& ring, const LogRecordLayout& record, const Times& times) {
  // SYNC(trace.count): may now read the slots before it.
  const std::uint64_t count = ring.slots->count.load(std::memory_order_acquire);
  const std::uint64_t before = ring.cursor;
  ring.cursor = sane_cursor(ring.cursor, count);
  // Its slot is read once, and not for each record before it.
  if (ring.cursor == before && record.ring_end < ring.waiting_end) return;
  ring.waiting_end = 0;
  for (; ring.cursor != count; ++ring.cursor) {
    TraceSlot slot;
    if (!read_cell(ring.slots->slots[ring.cursor % kTraceSlots], ring.cursor, slot)) continue;
    if (slot.end_position > record.ring_end) {
      ring.waiting_end = slot.end_position;
      break;
    }
    if (slot.end_position != record.ring_end) continue;
    WorkerMark mark{};
    mark.taken_ns = times.taken_ns;
    mark.visible_ns = times.visible_ns;
    mark.sequence = record.sequence;
    mark.shard = record.shard;
    mark.kind = static_cast<std::uint8_t>(record.kind);
    mark.reason = static_cast<std::uint8_t>(record.reason);
    write_cell(ring.marks->marks[ring.cursor % kTraceSlots], ring.cursor, mark);
  }
  // SYNC(trace.passed): the marks of what was passed are there.
  if (ring.cursor != before) ring.marks->count.store(ring.cursor, std::memory_order_release);
}

}  // namespace deja
