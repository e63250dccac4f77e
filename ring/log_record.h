// A worker's redo log: a ring (ring/spsc_ring.h) from the worker to the keeper, in which every
// consumed record leaves exactly one record. Its header's producer_position publishes step 2 of a
// worker's step (workers/README.md); applied_position lies in worker-<w>, the keeper's position in
// keeper (ring/positions.h). Space is reused only behind both.
//
//   ring record type kLogRecord: LogRecordLayout (48 B) │ payload
//
//   kind        sequence   payload
//   kApplied    L          the EventRecord's words
//   kMerged     L          a stored part, merged into a partial profile: the words of a
//                          kReturnStored or kReturnNothing record (ring/return_record.h), the
//                          latter with frame_bytes 0; ring_position is where it ended in the
//                          return ring, ring_end is 0
//   kDuplicate  0          none
//   kRefused    0          none
//   kDead       0 or L     the record's bytes as they lay in the ring, as far as they fit. With a
//                          sequence: a decision about an event that had been logged as applied
//                          with this L, whose effect is left out from now on.
//                          With reason kRejected: a rejected event's (ring/rejected_event.h),
//                          which ingest has counted and answered; sequence 0, and nobody is told
#pragma once

#include <cstddef>
#include <cstdint>

namespace deja {

inline constexpr std::uint32_t kLogRecord = 1;

enum class LogKind : std::uint8_t {
  kApplied = 1,    ///< the event's effect is (shard, sequence)
  kDuplicate = 2,  ///< its id had been seen: no effect, sequence 0, no event bytes
  kRefused = 3,    ///< by the worker, for `reason`: no effect, no event bytes
  kDead = 4,       ///< can't be understood or kills its worker: kept as a dead letter
  kMerged = 5,     ///< the stored part of a returned profile came in; of no ring: ring_end is 0
};

/// LogRecordLayout::flags of an applied event: its profile was not in memory and may be in the
/// store, so this event began a partial one, and the keeper is to fetch the rest.
inline constexpr std::uint32_t kLogBeganPartial = 1;

/// Why a worker did not apply a record. The numbers go over the verdict ring to ingest.
enum class RefusalReason : std::uint8_t {
  kNone = 0,
  kTableFull = 1,     ///< a new user, and no room: 503
  kBrokenRecord = 2,  ///< the bytes in the ring are not an event record
  kPoison = 3,        ///< its worker died of it three times
  kRejected = 4       ///< not an event any more: ingest had rejected it. Goes over no verdict ring
};

/// Whether ingest waits to be told.
[[nodiscard]] constexpr bool has_verdict(RefusalReason reason) {
  return reason != RefusalReason::kNone && reason != RefusalReason::kRejected;
}

struct LogRecordLayout {
  std::uint64_t sequence;       // L, from 1 in each shard; 0: see the table above
  std::uint64_t ring_position;  // p: where the record began in ring[ring][w]; see kMerged
  std::uint64_t ring_end;       // behind it
  std::int64_t consumed_us;     // wall clock when the worker took it
  std::uint32_t shard;
  std::uint16_t ring;  // r: number of the ingest thread
  LogKind kind;
  RefusalReason reason;
  std::uint32_t event_bytes;  // of the payload
  std::uint32_t flags;
};
static_assert(sizeof(LogRecordLayout) == 48);
static_assert(offsetof(LogRecordLayout, shard) == 32);

}  // namespace deja
