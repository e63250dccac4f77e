// One state of the modelled appliance: what lies in shared memory, on disk and in Redis, what each
// process holds in its own memory (zero whenever it means nothing, so that equal situations are
// equal bytes), and a few ghosts, which only the properties look at.
//
// One shard, one worker, two rings; up to four events and two users. A profile is its count of each
// event: merging adds them up, so that nothing that is applied twice can hide.
#pragma once

#include <cstdint>

namespace deja::model {

using Byte = std::uint8_t;

inline constexpr int kEvents = 4;
inline constexpr int kUsers = 2;
inline constexpr int kRings = 2;
inline constexpr int kRingSlots = 6;
inline constexpr int kLogSlots = 4;
inline constexpr int kSegments = 5;
inline constexpr int kSegmentRecords = 8;
inline constexpr int kReturnSlots = 2;
inline constexpr int kSequences = 12;  // L runs from 1

/// How often each event is in a profile: two bits an event, 3 means three or more.
[[nodiscard]] constexpr int count_of(Byte counts, int event) {
  return (counts >> (2 * event)) & 3;
}
[[nodiscard]] constexpr Byte with_event(Byte counts, int event) {
  return count_of(counts, event) == 3 ? counts : static_cast<Byte>(counts + (1 << (2 * event)));
}
[[nodiscard]] constexpr Byte merged(Byte one, Byte other) {
  for (int event = 0; event < kEvents; ++event) {
    for (int count = count_of(other, event); count > 0; --count) one = with_event(one, event);
  }
  return one;
}
[[nodiscard]] constexpr Byte bit(int number) {
  return static_cast<Byte>(1U << static_cast<unsigned>(number));
}

/// A block, or its image in Redis. Absent: sequence 0.
struct Profile {
  Byte counts;
  Byte sequence;
  Byte partial;
};

enum Kind : Byte { kNoRecord, kApplied, kDuplicate, kMerged };

struct LogRecord {
  Byte kind;
  Byte sequence;  // L
  Byte subject;   // the event; of a merge the user
  Byte ring;
  Byte end;    // position behind it in its ring
  Byte part;   // of a merge: the stored part
  Byte began;  // the event began a partial profile
};

struct Ring {
  Byte produced;
  Byte consumed;
  Byte durable;
  Byte pending;    // ingest's memory: positions (bits) whose producer still waits on its connection
  Byte logged;     // ghost: positions that have a log record
  Byte duplicate;  // ghost: positions that were decided to be duplicates
  Byte events[kRingSlots];
};

/// A record in the journal: L in the high half; below it the event, or 8 + user of a merge.
[[nodiscard]] constexpr Byte journal_record(int sequence, int subject, bool merge) {
  return static_cast<Byte>(sequence * 16 + (merge ? 8 : 0) + subject);
}

struct Segment {
  Byte epoch;   // of the incarnation of shared memory that it was written under; 0: no segment
  Byte base;    // that incarnation's first sequence is base + 1
  Byte count;   // records handed to the kernel
  Byte landed;  // of those, in the file: whoever reads it sees them
  Byte synced;  // of those, safe from a loss of power
  Byte
      failed;  // a sync failed: what was not synced by then may never be, whatever a later one says
  Byte records[kSegmentRecords];
};

/// A command on its way to Redis.
struct Command {
  Byte kind;  // 0: none
  Byte user;
  Byte counts;
  Byte sequence;
  Byte epoch;
};
enum CommandKind : Byte { kNoCommand, kWriteProfile, kWriteWatermark };

struct Stored {
  Byte counts;
  Byte sequence;
  Byte epoch;
};
struct Redis {
  Stored profiles[kUsers];
  Byte watermark;
  Byte watermark_epoch;
};

struct Returned {
  Byte user;
  Byte counts;
};

/// Where the worker is. Each name is the step that comes next.
enum WorkerStep : Byte {
  kIdle,
  kRecovering,  // waits for the keeper to hand over what is stored
  kInBatch,     // at `order[order_at]`
  kRedo,        // at the log's record at `at`
  kClearEntry,  // an eviction: the flag is stored, the entry not yet cleared
  kStoreFlag,   // a mutant's eviction: the entry is cleared, the flag not yet stored
};

struct Worker {
  Byte step;
  Byte order_at;  // which step of the batch
  Byte at;        // which record of the batch; in a redo its position in the log
  Byte ring;      // of the batch; kRings: the return ring
  Byte count;     // records of the batch
  Byte user;      // of an eviction
};

/// The keeper's journal: one group at a time.
enum JournalStep : Byte { kNoGroup, kWriting, kLanded, kSynced };
/// The keeper's pass over what changed.
enum PassStep : Byte {
  kNoPass,
  kDraining,
  kCopying,
  kWaiting,  // for the journal to reach the copy's sequence
  kProfileSent,
  kWatermarkSent,
  kStoringWatermark,
};

struct Keeper {
  Byte cursor;   // log position up to which it has drained
  Byte grouped;  // log position up to which records went into a group
  Byte journal_step;
  Byte ring_at;              // whose durable position comes next
  Byte durable_end[kRings];  // what the group makes durable
  Byte segment;              // index of its own
  Byte durable_sequence;
  Byte touched[kUsers];  // sequence of the newest event drained
  Byte walk;             // the whole index has to be looked at
  Byte walk_newest;      // newest sequence that the walk stands for
  Byte wanted;           // users (bits) whose stored part is to be fetched
  Byte candidate;        // the watermark as of the last tick
  Byte pass_step;
  Byte pass_todo;  // users, bits
  Byte pass_walk;
  Byte pass_newest;
  Byte pass_held;
  Byte pass_before;  // shard.sequence as loaded before the drain
  Byte pass_touched[kUsers];
  Command command;
  Byte recovery_step;  // 0: not recovering; else 1 + number of the next item
  Byte recovery_watermark;
};

/// What is left of each budget.
struct Budget {
  Byte resends = 0;
  Byte worker_kills = 0;
  Byte ingest_kills = 0;
  Byte keeper_kills = 0;
  Byte power_losses = 0;
  Byte memory_losses = 0;  // shared memory goes, the kernel lives: a container started again
  Byte redis_losses = 0;
  Byte refusals = 0;
  Byte sync_failures = 0;
  Byte evictions = 0;
};

struct State {
  // producers
  Byte sent;   // events, bits
  Byte acked;  // events whose producer was answered, at the level that the configuration says
  Ring rings[kRings];

  // the log and its positions
  Byte log_produced;
  Byte log_applied;
  Byte log_drained;
  Byte drained_sequence;  // the newest L before log_drained
  LogRecord log[kLogSlots];

  // the shard
  Profile table[kUsers];
  Byte ids;
  Byte sequence;
  Byte has_absent;

  // return ring
  Byte returned_produced;
  Byte returned_consumed;
  Returned returned[kReturnSlots];

  Worker worker;
  Keeper keeper;
  // the keeper's shared words
  Byte watermark;
  Byte confirmed;

  Byte epoch;  // of this incarnation
  Byte base;   // the sequence that it began with
  Segment segments[kSegments];
  Byte segment_count;
  Byte recorded_confirmed;  // what is confirmed, as the journal says it
  Byte pruned_ids;          // events whose record was pruned, of which the journal keeps the id
  Byte late_write_segment;  // 1 + segment; a mutant's: a dead keeper's write into a living segment
  Byte late_write_at;
  Byte late_write_count;
  Byte late_write[kLogSlots];

  Redis redis;
  Redis persisted;  // what it comes back with when it loses its last seconds
  Byte connected;
  Command late_command;  // a dead keeper's, still on its way

  Budget budget;
  // ghosts
  Byte applied_as[kEvents];  // L; 0: never logged, or lost
  Byte violation;
  Byte reserved[3];
};

}  // namespace deja::model
