// What goes wrong, and what merely passes: kills, losses of power, of shared memory and of Redis'
// last seconds, writes that arrive late, the loss window, pruning. Each is bounded by a budget.
#include <algorithm>

#include "tests/model/recipe/recipe.h"

namespace deja::model {

void Recipe::faults(const State& from, Step& moves) const {
  kills(from, moves);
  losses(from, moves);
  late_arrivals(from, moves);
  time_passes(from, moves);
}

/// A kill and the next life are one step: a process that is dead for a while does nothing more than
/// one that is not scheduled.
void Recipe::kills(const State& from, Step& moves) const {
  const bool worker_busy = from.worker.step != kIdle && from.worker.step != kRecovering;
  if (from.budget.worker_kills != 0 && worker_busy) {
    State& to = moves.add_optional({"KILL the worker"});
    --to.budget.worker_kills;
    begin_redo(to);
  }
  if (from.budget.ingest_kills != 0) {
    bool waiting = false;
    for (const Ring& ring : from.rings) waiting |= ring.pending != 0;
    if (waiting) {
      State& to = moves.add_optional({"KILL ingest"});
      --to.budget.ingest_kills;
      for (Ring& ring : to.rings) ring.pending = 0;
    }
  }
  if (from.budget.keeper_kills != 0) {
    State& to = moves.add_optional({"KILL the keeper"});
    --to.budget.keeper_kills;
    kill_keeper(to);
  }
}

void Recipe::kill_keeper(State& to) const {
  const Keeper dead = to.keeper;
  if (dead.recovery_step != 0) {
    to.keeper.recovery_step = 1;
    to.keeper.recovery_watermark = 0;
    return;
  }
  if (dead.pass_step == kProfileSent || dead.pass_step == kWatermarkSent) {
    to.late_command = dead.command;
  }
  if (is(Mutant::kSegmentReused)) {
    // The next life goes on where it finds the end; what is under way aims at the same place.
    Segment& segment = to.segments[dead.segment];
    if (segment.count > segment.landed) {
      to.late_write_segment = static_cast<Byte>(dead.segment + 1);
      to.late_write_at = segment.landed;
      to.late_write_count = static_cast<Byte>(segment.count - segment.landed);
      for (int at = 0; at < to.late_write_count; ++at) {
        to.late_write[at] = segment.records[segment.landed + at];
      }
      segment.count = segment.landed;
    }
  }
  begin_keeper(to);
}

/// Everything in shared memory goes, and with it every process.
void Recipe::lose_memory(State& to) const {
  for (Ring& ring : to.rings) ring = {};
  to.log_produced = to.log_applied = to.log_drained = to.drained_sequence = 0;
  std::fill(std::begin(to.log), std::end(to.log), LogRecord{});
  std::fill(std::begin(to.table), std::end(to.table), Profile{});
  to.ids = to.sequence = to.has_absent = 0;
  to.returned_produced = to.returned_consumed = 0;
  std::fill(std::begin(to.returned), std::end(to.returned), Returned{});
  to.worker = {};
  to.worker.step = kRecovering;
  to.watermark = to.confirmed = 0;
  to.late_command = {};
  to.keeper = {};
  to.keeper.recovery_step = 1;
  if (!is(Mutant::kEpochNotRaised)) ++to.epoch;
}

void Recipe::losses(const State& from, Step& moves) const {
  const bool redis_may_lose = from.budget.redis_losses != 0 && configuration_.redis;
  if (redis_may_lose) {
    State& to = moves.add_optional({"REDIS loses its last writes"});
    --to.budget.redis_losses;
    to.redis = from.persisted;
    connection_lost(to);
  }
  if (from.budget.memory_losses != 0) {
    State& to = moves.add_optional({"SHARED MEMORY is gone"});
    --to.budget.memory_losses;
    lose_memory(to);
  }
  if (from.budget.power_losses == 0) return;
  // Of each segment any part of what was not synced is there, from the front: behind a record that
  // can't be read nothing is read.
  Byte kept[kSegments];
  for (int number = 0; number < kSegments; ++number) kept[number] = from.segments[number].synced;
  for (bool more = true; more;) {
    for (int with_redis = 0; with_redis <= (redis_may_lose ? 1 : 0); ++with_redis) {
      State& to =
          moves.add_optional({with_redis != 0 ? "POWER and Redis' last writes are lost: kept"
                                              : "POWER is lost: kept of the last segment",
                              kept[std::max(0, from.segment_count - 1)]});
      --to.budget.power_losses;
      if (with_redis != 0) {
        --to.budget.redis_losses;
        to.redis = from.persisted;
      }
      for (int number = 0; number < kSegments; ++number) {
        Segment& segment = to.segments[number];
        segment.count = segment.landed = segment.synced = kept[number];
        segment.failed = 0;
        std::fill(segment.records + segment.count, segment.records + kSegmentRecords, Byte{0});
      }
      to.late_write_segment = to.late_write_at = to.late_write_count = 0;
      std::fill(std::begin(to.late_write), std::end(to.late_write), Byte{0});
      lose_memory(to);
    }
    int number = 0;
    while (number < kSegments && kept[number] == from.segments[number].count) {
      kept[number] = from.segments[number].synced;
      ++number;
    }
    more = number < kSegments;
    if (more) ++kept[number];
  }
}

void Recipe::late_arrivals(const State& from, Step& moves) const {
  if (from.late_command.kind != kNoCommand) {
    State& to = moves.add_optional({"Redis takes a dead keeper's command"});
    execute(to, from.late_command);
    to.late_command = {};
  }
  for (int number = 0; number < from.segment_count; ++number) {
    const Segment& segment = from.segments[number];
    const bool living = from.keeper.recovery_step == 0 && from.keeper.segment == number;
    if (living || segment.landed == segment.count || !landing_matters(from)) continue;
    State& to = moves.add_optional({"a dead keeper's write lands in segment", number});
    to.segments[number].landed = segment.count;
  }
  if (from.late_write_segment != 0) {
    State& to = moves.add_optional({"a dead keeper's write lands in the living segment"});
    Segment& segment = to.segments[from.late_write_segment - 1];
    std::copy_n(from.late_write, from.late_write_count, segment.records + from.late_write_at);
    // Behind it lies the rest of longer records: nothing there can be read.
    segment.count = static_cast<Byte>(from.late_write_at + from.late_write_count);
    std::fill(segment.records + segment.count, segment.records + kSegmentRecords, Byte{0});
    segment.landed = segment.synced = segment.count;
    to.late_write_segment = to.late_write_at = to.late_write_count = 0;
    std::fill(std::begin(to.late_write), std::end(to.late_write), Byte{0});
  }
}

void Recipe::time_passes(const State& from, Step& moves) const {
  if (!configuration_.redis || from.keeper.recovery_step != 0) return;
  if (from.budget.redis_losses != 0) {
    moves.add_optional({"Redis makes durable what it has"}).persisted = from.redis;
  }
  if (configuration_.windows_pass) {
    State& to = moves.add_optional({"the loss window passes: watermark", from.watermark});
    to.persisted = from.redis;
    // By a reply on the same connection: a clock alone can't tell that Redis has gone back since.
    if (from.connected != 0 || is(Mutant::kConfirmedByClockAlone)) {
      to.confirmed = std::max(from.confirmed, from.keeper.candidate);
      to.keeper.candidate = from.watermark;
    }
  }
  if (journal_matters(from) && from.confirmed > from.recorded_confirmed) {
    moves.add_optional({"the journal names what is confirmed"}).recorded_confirmed = from.confirmed;
  }
  if (configuration_.prunes && journal_matters(from)) prune(moves.add_optional({"keeper prunes"}));
}

/// Records that Redis is known to have go; their ids stay.
void Recipe::prune(State& to) const {
  const Byte below = is(Mutant::kPruneAtWatermark) ? to.watermark : to.confirmed;
  Byte ids = 0;
  for (int number = 0; number < to.segment_count; ++number) {
    Segment& segment = to.segments[number];
    int count = 0;
    while (count < segment.synced && segment.records[count] / 16 <= below) {
      const Byte record = segment.records[count++];
      if ((record & 8) == 0 && !is_void(to, number, record / 16)) ids |= bit(record % 8);
    }
    if (count == 0) continue;
    std::copy(segment.records + count, segment.records + kSegmentRecords, segment.records);
    std::fill(segment.records + kSegmentRecords - count, segment.records + kSegmentRecords,
              Byte{0});
    segment.count = static_cast<Byte>(segment.count - count);
    segment.landed = static_cast<Byte>(segment.landed - count);
    segment.synced = static_cast<Byte>(segment.synced - count);
  }
  if (!is(Mutant::kPruneForgetsIds)) to.pruned_ids |= ids;
}

}  // namespace deja::model
