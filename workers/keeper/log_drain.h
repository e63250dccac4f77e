// Takes what one worker logged. Every record is copied out of the ring and checked before it means
// anything: a worker may be broken or hostile. What had an effect goes into the journal, and what
// it touched into the TouchedSet; once the journal has synced it, durable positions are told and
// the log's space is given back. The keeper's thread alone.
//
//   next ─▶ check ─▶ journal.append ─▶ touched ─▶ mark {group, log position, ring ends}
//                                                   │ journal.durable_group() ≥ group
//                                                   ▼
//                       durable positions of the rings │ drained_position: space is free
//
//  1. A broken record is counted and named, and the shards of its worker are walked, since it can't
//     be known what it had touched. Nothing is skipped silently.
//  2. A ring that makes no sense at all ends this log for good: nothing behind it can be read, its
//     space is not given back, and its worker's shards are walked in every round.
//  3. A durable position moves only along the log: a duplicate's record covers its ring position
//     only behind everything that was logged before it, its original too.
//  4. A dead letter is kept (workers/dead_letters), synced, before its record is passed, and a
//     decision is noted there as settled once the journal has it, before its space is given back.
//     A rejected event's letter waits for no disk and holds up nothing: it may be dropped.
//  5. Space is given back only for what is durable: who dies in between drains the same records
//     again, and the journal has them twice under the same sequences.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "ring/log_record.h"
#include "ring/positions.h"
#include "ring/spsc_ring.h"
#include "shm/segment.h"
#include "workers/dead_letters/dead_letters.h"
#include "workers/journal/journal_pruner.h"
#include "workers/journal/journal_writer.h"
#include "workers/keeper/keeper_counters.h"
#include "workers/keeper/stored_parts.h"
#include "workers/keeper/touched_set.h"

namespace deja {

class LogDrain {
 public:
  /// Where a record's consequences go. All outlive the drain.
  struct Into {
    JournalWriter& journal;
    JournalPruner& pruner;
    TouchedSet& touched;
    StoredParts& stored_parts;
    DeadLetters& letters;
    KeeperCounters& counters;
    ProcessFile& process;
  };

  /// `positions` and `durable` (of ring 0 of this worker) lie in the keeper's files, mapped for
  /// writing.
  [[nodiscard]] static Result<LogDrain> open(const Segment& segment, std::uint32_t worker,
                                             KeeperLogLayout* positions, PositionLayout* durable);

  /// Takes what was published when the call began, `records_max` at most, and as much as the
  /// journal has room for; of new dead letters some dozens, since each waits for the disk. Returns
  /// how many.
  std::uint64_t drain(const Into& into, std::uint64_t records_max = ~std::uint64_t{0});

  /// Tells what is durable, the newest of it since `durable_us`, and gives the space back. True
  /// when there was something.
  bool settle(std::uint64_t durable_group, std::int64_t durable_us, DeadLetters& letters,
              KeeperCounters& counters);

  /// How far the worker has logged.
  [[nodiscard]] std::uint64_t logged_position() const { return consumer_.producer_position(); }
  /// Everything before it was drained, or can't be.
  [[nodiscard]] bool drained(std::uint64_t position) const {
    return broken_ || consumer_.read_position() >= position;
  }

  [[nodiscard]] bool empty() const { return broken_ || consumer_.empty(); }
  /// Nothing was drained that is not durable yet.
  [[nodiscard]] bool settled() const { return marks_.empty(); }
  /// How many records were drained that are not durable yet, and when the oldest of them was taken
  /// by its worker (0: there is none).
  [[nodiscard]] std::uint64_t unsettled_count() const { return unsettled_count_; }
  [[nodiscard]] std::int64_t unsettled_since_us() const {
    return marks_.empty() ? 0 : marks_.front().oldest_us;
  }
  [[nodiscard]] bool broken() const { return broken_; }

 private:
  static constexpr std::size_t kKinds = 6;  // LogKind's, and rejected events'
  struct Mark {
    std::uint64_t group = 0;
    std::uint64_t log_position = 0;
    std::int64_t oldest_us = 0;            // when its first record was taken by its worker
    std::vector<std::uint64_t> ring_ends;  // 0: no record of this ring
    std::array<std::uint64_t, kKinds> counts{};
    std::vector<std::uint64_t> decided;  // letters whose decisions are in the group
  };
  enum class Taken : std::uint8_t { kDone, kBroken, kNoRoom };

  LogDrain(MappedFile file, const Segment& segment, std::uint32_t worker,
           KeeperLogLayout* positions, PositionLayout* durable);
  /// kBroken: `fault_` says what is wrong with it.
  [[nodiscard]] Taken take(const RingRecord& record, const Into& into);
  [[nodiscard]] Taken take_letter(const RingRecord& record, const Into& into);
  [[nodiscard]] Taken take_effect(const LogRecordLayout& head, const Into& into);
  [[nodiscard]] const char* read_key(const LogRecordLayout& head, Key& key) const;
  void mark(const LogRecordLayout& head, std::uint64_t log_position, std::uint64_t group);
  void walk_shards(TouchedSet& touched) const;

  MappedFile file_;
  RingConsumer consumer_;
  TableGeometry geometry_;
  std::uint32_t worker_;
  std::uint32_t ring_count_;
  PositionLayout* durable_;
  bool broken_ = false;
  const char* fault_ = nullptr;
  LogRecordLayout head_{};
  DeadLetters::Kept letter_;           // of the record at hand, where it is a dead one
  unsigned letters_left_ = 0;          // new ones that this drain may keep
  std::vector<std::uint64_t> record_;  // the copy, of whole words
  std::deque<Mark> marks_;             // oldest first
  std::uint64_t unsettled_count_ = 0;  // records that they stand for
};

}  // namespace deja
