// What single events leave on their way while `deja trace` follows them: who writes what, in four
// kinds of files. Nobody waits for anybody here: who follows an event lays its marks down beside
// its own work, and `deja trace` puts a story together out of them.
//
//   trace             deja trace   TraceControlLayout │ a collected number for each lane
//   trace-ingest-<i>  ingest       a TraceLaneLayout for each worker w, and one more for events
//                                  that never got into a ring: which events are followed, and what
//                                  this ingest thread did with them
//   trace-worker-<w>  worker w     a WorkerTraceLayout for each ring i: when it took them, and what
//                                  became of them
//   trace-keeper      keeper       a KeeperTraceLayout for each worker w and ring i, at
//                                  [w × ingest_count + i]: when they were durable, and in Redis
//
// An event that is followed has a number in its lane, counted from 0; its slot, and its marks in
// the other files, lie at number % kTraceSlots, and each cell says whose it is. So nobody has to be
// told that a slot is used again, and what is read beside a writer is noticed (ring/trace_cell.h).
//
// Invariants
//  1. A lane's numbers are in the order of its ring: whoever moves a position past an event finds
//     the followed ones at its own cursor.
//  2. A slot is in its lane before its event's record is published.
//  3. Ingest gives a number only if fewer than kTraceSlots are not collected yet. What is followed
//     keeps its slot until its story is told; what finds none is not followed, and counted.
//  4. Without a lease (until_ns) that reaches into the future ingest gives no number. Workers and
//     keeper look at ingest's counts alone, so it is off everywhere.
//  5. All four writers are hostile to each other, as everywhere: a count, a number or a position
//     that makes no sense loses stories, and nothing else.
//
// Times are CLOCK_MONOTONIC, nanoseconds: the same in all processes, and never set back.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "shm/base/cache_line.h"

namespace deja {

inline constexpr std::uint64_t kTraceSlots = 1024;  // of each lane

/// No lease is longer: a time further away is nobody's.
inline constexpr std::int64_t kTraceLeaseMaxNs = 10'000'000'000;

/// TraceControlLayout::flags.
inline constexpr std::uint64_t kTraceUser = 1;      ///< follow whom user_hash names
inline constexpr std::uint64_t kTraceRequests = 2;  ///< follow events whose request asks for it

/// What to follow. Set before until_ns; a change under a lease is met with some pass, each word by
/// itself.
struct alignas(kCacheLineBytes) TraceControlLayout {
  std::atomic<std::int64_t> until_ns;    // 0: off
  std::atomic<std::uint64_t> flags;      // kTrace…
  std::atomic<std::uint64_t> threshold;  // follow ids whose hash is below it; all ones: all
  std::atomic<std::uint64_t> user_hash;  // keyed_hash() of a profile's key
  std::uint64_t reserved[4];

  /// collected()[i × (worker_count + 1) + lane]: that lane's slots before this number may be used
  /// again.
  [[nodiscard]] std::atomic<std::uint64_t>* collected() {
    return reinterpret_cast<std::atomic<std::uint64_t>*>(this + 1);
  }
  [[nodiscard]] const std::atomic<std::uint64_t>* collected() const {
    return reinterpret_cast<const std::atomic<std::uint64_t>*>(this + 1);
  }
};
static_assert(sizeof(TraceControlLayout) == kCacheLineBytes);
static_assert(offsetof(TraceControlLayout, user_hash) == 24);

/// `value`, and which number's it is. The words are a T's.
template <typename T>
struct TraceCellLayout {
  static_assert(sizeof(T) % 8 == 0);
  static constexpr std::uint32_t kWords = sizeof(T) / 8;
  std::atomic<std::uint64_t> owner;  // the number + 1; 0: being written
  std::atomic<std::uint64_t> words[kWords];
};

enum class TraceOutcome : std::uint8_t {
  kPlaced = 1,     ///< in a ring, up to `end_position`
  kUnmatched = 2,  ///< no recogniser wants it
  kAlias = 3,      ///< counted, without effect
  kRefused = 4,    ///< by ingest, for `code`
  kAbandoned = 5   ///< its ingest died before it was published: nobody has it
};

/// How far an answer's ack reaches; TraceSlot::ack.
inline constexpr std::uint64_t kTraceAckApplied = 1;
inline constexpr std::uint64_t kTraceAckDurable = 2;

/// What ingest knows of an event that is followed.
struct TraceSlot {
  std::uint64_t trace_high;  // the client's trace, where it named one; else 0
  std::uint64_t trace_low;
  std::uint64_t parent;        // the client's span; 0: none
  std::int64_t received_ns;    // of the bytes that it came in
  std::int64_t committed_ns;   // its record is built; or, what never gets one, its end
  std::int64_t published_ns;   // … and visible to its worker; 0: not yet, as below
  std::int64_t answered_ns;    // its producer's answer is written
  std::uint64_t ack;           // kTraceAck…, of that answer
  std::uint64_t end_position;  // in ring-<i>-<w>; 0: in none
  std::uint64_t user_hash;     // keyed_hash() of its profile's key; 0: it has none
  TraceOutcome outcome;
  std::uint8_t call;  // as event.capnp's Call
  std::uint8_t reserved[6];
  char code[24];  // why it, or its ack, was refused; texts end in zeroes, or are cut
  char name[64];  // of the event
  char message_id[64];
};
static_assert(sizeof(TraceSlot) == 240);
static_assert(offsetof(TraceSlot, code) == 88);

/// What a worker knows of it.
struct WorkerMark {
  std::int64_t taken_ns;    // its batch began
  std::int64_t visible_ns;  // its batch's profiles are out; its position is about to be
  std::uint64_t sequence;   // of its shard; 0: it has no effect
  std::uint32_t shard;
  std::uint8_t kind;    // LogKind (ring/log_record.h)
  std::uint8_t reason;  // RefusalReason
  std::uint16_t reserved;
};
static_assert(sizeof(WorkerMark) == 32);

/// What the keeper knows of it.
struct KeeperMark {
  std::int64_t durable_ns;  // the journal's group that has it was synced
  std::int64_t flushed_ns;  // Redis has confirmed its shard's watermark; 0: not yet
};
static_assert(sizeof(KeeperMark) == 16);

struct alignas(kCacheLineBytes) TraceLaneLayout {
  std::atomic<std::uint64_t> count;    // numbers given
  std::atomic<std::uint64_t> dropped;  // events that found no slot
  std::uint64_t reserved[6];
  TraceCellLayout<TraceSlot> slots[kTraceSlots];
};
struct alignas(kCacheLineBytes) WorkerTraceLayout {
  std::atomic<std::uint64_t> count;  // numbers passed, marked or not
  std::uint64_t reserved[7];
  TraceCellLayout<WorkerMark> marks[kTraceSlots];
};
struct alignas(kCacheLineBytes) KeeperTraceLayout {
  TraceCellLayout<KeeperMark> marks[kTraceSlots];
};
static_assert(sizeof(TraceCellLayout<TraceSlot>) == 248);
static_assert(sizeof(TraceLaneLayout) == 64 + 248 * kTraceSlots);
static_assert(sizeof(WorkerTraceLayout) == 64 + 40 * kTraceSlots);
static_assert(sizeof(KeeperTraceLayout) == 24 * kTraceSlots);

inline constexpr const char* kTraceControlFile = "trace";
inline constexpr const char* kTraceKeeperFile = "trace-keeper";

[[nodiscard]] constexpr std::uint64_t trace_control_bytes(std::uint32_t worker_count,
                                                          std::uint32_t ingest_count) {
  return sizeof(TraceControlLayout) +
         round_up((std::uint64_t{worker_count} + 1) * ingest_count * 8, kCacheLineBytes);
}
[[nodiscard]] constexpr std::uint64_t trace_ingest_bytes(std::uint32_t worker_count) {
  return (std::uint64_t{worker_count} + 1) * sizeof(TraceLaneLayout);
}
[[nodiscard]] constexpr std::uint64_t trace_worker_bytes(std::uint32_t ingest_count) {
  return std::uint64_t{ingest_count} * sizeof(WorkerTraceLayout);
}
[[nodiscard]] constexpr std::uint64_t trace_keeper_bytes(std::uint32_t worker_count,
                                                         std::uint32_t ingest_count) {
  return std::uint64_t{worker_count} * ingest_count * sizeof(KeeperTraceLayout);
}

}  // namespace deja
