// A worker's redo log: a ring (ring/spsc_ring.h) from the worker to the keeper, in which every
// consumed record leaves exactly one record. Its header's producer_position publishes step 2 of a
// worker's step (workers/README.md); applied_position lies in worker-<w>, the keeper's position in
// keeper (ring/positions.h). Space is reused only behind both.
//
//   ring record type kLogRecord: LogRecordLayout (48 B) │ event: the EventRecord's words
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
};

/// Why a worker did not apply a record. The numbers go over the verdict ring to ingest.
enum class RefusalReason : std::uint8_t {
  kNone = 0,
  kTableFull = 1,    ///< a new user, and no room: 503
  kBrokenRecord = 2  ///< the bytes in the ring are not an event record
};

struct LogRecordLayout {
  std::uint64_t sequence;       // L, from 1 in each shard; 0 unless kApplied
  std::uint64_t ring_position;  // p: where the record began in ring[ring][w]
  std::uint64_t ring_end;       // behind it
  std::int64_t consumed_us;     // wall clock when the worker took it
  std::uint32_t shard;
  std::uint16_t ring;  // r: number of the ingest thread
  LogKind kind;
  RefusalReason reason;
  std::uint32_t event_bytes;
  std::uint32_t reserved;
};
static_assert(sizeof(LogRecordLayout) == 48);
static_assert(offsetof(LogRecordLayout, shard) == 32);

}  // namespace deja
