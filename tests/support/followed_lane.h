// A lane of the trace files as its ingest thread writes it, for tests of those who read it. Test
// code; header only; one thread.
#pragma once

#include <cstdint>

#include "ring/trace_cell.h"

namespace deja {

/// The next number of a lane, for an event that ends there in its ring; 0: one that was abandoned.
inline std::uint64_t follow(TraceLaneLayout& lane, std::uint64_t end_position) {
  const std::uint64_t number = lane.count.load(std::memory_order_relaxed);
  TraceSlot slot{};
  slot.outcome = end_position == 0 ? TraceOutcome::kAbandoned : TraceOutcome::kPlaced;
  slot.end_position = end_position;
  slot.received_ns = slot.committed_ns = 1;
  write_cell(lane.slots[number % kTraceSlots], number, slot);
  lane.count.store(number + 1, std::memory_order_release);
  return number;
}

/// Whether the cell is that number's; its value then.
template <typename T>
[[nodiscard]] bool marked(const TraceCellLayout<T> (&cells)[kTraceSlots], std::uint64_t number,
                          T& value) {
  return read_cell(cells[number % kTraceSlots], number, value);
}

}  // namespace deja
