// The keeper's first half: drain, journal write, sync, durable positions, the log's space. One
// group is under way at a time. Each of these is a step, and a kill may come between any two.
#include <algorithm>

#include "tests/model/recipe/recipe.h"

namespace deja::model {

/// Takes in what the log has: everything up to producer_position.
void Recipe::drain(State& to) const {
  for (int position = to.keeper.cursor; position < to.log_produced; ++position) {
    const LogRecord& record = log_at(to, position);
    if (record.kind == kApplied) {
      touch(to, user_of(record.subject), record.sequence);
      if (record.began != 0 && configuration_.redis)
        to.keeper.wanted |= bit(user_of(record.subject));
    }
    if (record.kind == kMerged) touch(to, record.subject, record.sequence);
  }
  to.keeper.cursor = to.log_produced;
}

void Recipe::touch(State& to, int user, int sequence) const {
  if (!configuration_.redis) return;
  Keeper& keeper = to.keeper;
  if (keeper.walk != 0) {
    if (!is(Mutant::kWalkForgetsNewest)) {
      keeper.walk_newest = std::max(keeper.walk_newest, static_cast<Byte>(sequence));
    }
    return;
  }
  keeper.touched[user] = std::max(keeper.touched[user], static_cast<Byte>(sequence));
  const auto count = std::count_if(std::begin(keeper.touched), std::end(keeper.touched),
                                   [](Byte newest) { return newest != 0; });
  if (count > configuration_.touched_max) walk_all(to);
}

/// The whole index has to be looked at, by a walk that begins no earlier than the newest event that
/// it stands for was counted: one that was logged but is not published yet would be missed.
void Recipe::walk_all(State& to) const {
  Keeper& keeper = to.keeper;
  keeper.walk = 1;
  for (Byte& newest : keeper.touched) {
    if (!is(Mutant::kWalkForgetsNewest)) keeper.walk_newest = std::max(keeper.walk_newest, newest);
    newest = 0;
  }
}

void Recipe::begin_group(State& to) const {
  Keeper& keeper = to.keeper;
  bool writes = false;
  for (int number = 0; number < kRings; ++number) keeper.durable_end[number] = 0;
  for (int position = keeper.grouped; position < keeper.cursor; ++position) {
    const LogRecord& record = log_at(to, position);
    if (record.kind == kNoRecord) continue;
    if (record.kind != kMerged) keeper.durable_end[record.ring] = record.end;
    if (record.kind == kDuplicate) continue;
    writes = true;
    if (!journal_matters(to)) continue;
    Segment& segment = to.segments[keeper.segment];
    if (segment.count == kSegmentRecords) __builtin_trap();
    segment.records[segment.count++] =
        journal_record(record.sequence, record.subject, record.kind == kMerged);
  }
  keeper.grouped = keeper.cursor;
  keeper.journal_step = writes ? kWriting : kSynced;
  if (writes && !landing_matters(to)) land(to);
}

/// The write is in the file: whoever reads it sees it.
void Recipe::land(State& to) const {
  Segment& segment = to.segments[to.keeper.segment];
  segment.landed = segment.count;
  to.keeper.journal_step = is(Mutant::kDurableBeforeSync) ? kSynced : kLanded;
}

void Recipe::open_segment(State& to) const {
  if (!journal_matters(to)) return;
  if (to.segment_count == kSegments) __builtin_trap();
  to.keeper.segment = to.segment_count;
  Segment& segment = to.segments[to.segment_count++];
  segment.epoch = to.epoch;
  segment.base = to.base;
}

void Recipe::keeper_journal(const State& from, Step& moves) const {
  if (!configuration_.keeper) {
    if (from.log_drained == from.log_produced) return;
    State& to = moves.add({"the log is drained"});
    to.log_drained = to.log_produced;
    return;
  }
  const Keeper& keeper = from.keeper;
  if (keeper.recovery_step != 0) return;
  if (keeper.cursor < from.log_produced) drain(moves.add({"keeper drains the log"}));

  int newest = keeper.durable_sequence;  // of what the group makes durable
  for (int position = from.log_drained; position < keeper.grouped; ++position) {
    newest = std::max(newest, static_cast<int>(log_at(from, position).sequence));
  }
  switch (keeper.journal_step) {
    case kNoGroup:
      if (keeper.grouped < keeper.cursor) begin_group(moves.add({"keeper writes a group"}));
      return;
    case kWriting:
      land(moves.add({"the group's write completes"}));
      return;
    case kLanded: {
      if (is(Mutant::kWatermarkIsDurable)) {
        if (from.watermark >= newest)
          moves.add({"watermark instead of sync"}).keeper.journal_step = kSynced;
        return;
      }
      State& to = moves.add({"keeper syncs its segment"});
      Segment& segment = to.segments[keeper.segment];
      if (segment.failed == 0) segment.synced = segment.count;
      to.keeper.durable_sequence = static_cast<Byte>(newest);
      to.keeper.journal_step = kSynced;
      if (from.budget.sync_failures == 0 || !journal_matters(from)) return;
      State& failed = moves.add_optional({"a sync fails"});
      --failed.budget.sync_failures;
      Segment& bad = failed.segments[keeper.segment];
      bad.failed = 1;
      if (is(Mutant::kFailedSyncRetried)) return;
      // What is not durable yet is written again, to a segment of its own.
      const int segment_before = keeper.segment;
      open_segment(failed);
      const Segment& old = failed.segments[segment_before];
      Segment& fresh = failed.segments[failed.keeper.segment];
      for (int at = old.synced; at < old.count; ++at)
        fresh.records[fresh.count++] = old.records[at];
      failed.keeper.journal_step = kWriting;
      if (!landing_matters(failed)) land(failed);
      return;
    }
    case kSynced: {
      const bool space_first = is(Mutant::kDrainedBeforeDurable);
      if (space_first && from.log_drained != keeper.grouped) {
        State& to = moves.add({"keeper stores its log position"});
        to.log_drained = keeper.grouped;
        to.drained_sequence = static_cast<Byte>(newest);
        return;
      }
      int number = keeper.ring_at;
      while (number < configuration_.rings &&
             keeper.durable_end[number] <= from.rings[number].durable) {
        ++number;
      }
      if (number < configuration_.rings) {
        State& to = moves.add({"keeper stores durable_position: ring", number});
        to.rings[number].durable = keeper.durable_end[number];
        to.keeper.ring_at = static_cast<Byte>(number + 1);
        return;
      }
      State& to = moves.add({"keeper stores its log position"});
      to.log_drained = keeper.grouped;
      to.drained_sequence = static_cast<Byte>(newest);
      to.keeper.journal_step = kNoGroup;
      to.keeper.ring_at = 0;
      for (Byte& end : to.keeper.durable_end) end = 0;
      return;
    }
    default:
      return;
  }
}

/// A new life of the keeper over living shared memory.
void Recipe::begin_keeper(State& to) const {
  const Byte segment = to.keeper.segment;
  to.keeper = {};
  Keeper& keeper = to.keeper;
  keeper.grouped = to.log_drained;
  keeper.durable_sequence = to.drained_sequence;
  // From applied_position, where that lies behind: the walk misses what was drained by the last
  // keeper and is published only now, so it has to be touched again.
  keeper.cursor = std::min(to.log_applied, to.log_drained);
  if (is(Mutant::kKeeperReadsFromDrained)) keeper.cursor = to.log_drained;
  if (configuration_.redis) keeper.walk = 1;
  if (to.connected != 0) to.watermark = std::min(to.watermark, to.redis.watermark);
  if (is(Mutant::kSegmentReused)) {
    keeper.segment = segment;
  } else {
    open_segment(to);
  }
}

}  // namespace deja::model
