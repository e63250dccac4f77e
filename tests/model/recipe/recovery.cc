// After shared memory is gone: profiles and watermark from Redis, the journal above the watermark,
// in the order of its sequences, the ids from the journal. One item is a step; the keeper may die
// between two and begins again, and the worker passes over what it has.
#include <algorithm>

#include "tests/model/recipe/recipe.h"

namespace deja::model {

/// A record of a former incarnation above the sequence that a later one began with: a write of a
/// dead keeper that landed after it was decided that it had not.
bool Recipe::is_void(const State& state, int number, int sequence) const {
  if (is(Mutant::kOldEpochsReplayed)) return false;
  for (int other = 0; other < state.segment_count; ++other) {
    if (state.segments[other].epoch > state.segments[number].epoch &&
        state.segments[other].base < sequence) {
      return true;
    }
  }
  return false;
}

/// The record with this L, of the newest epoch that has it; -1: none can be read.
int Recipe::find_record(const State& state, int sequence) const {
  int found = -1;
  Byte epoch = 0;
  for (int number = 0; number < state.segment_count; ++number) {
    const Segment& segment = state.segments[number];
    for (int at = 0; at < segment.landed; ++at) {
      if (segment.records[at] / 16 != sequence || segment.epoch <= epoch) continue;
      if (is_void(state, number, sequence)) continue;
      found = segment.records[at];
      epoch = segment.epoch;
    }
  }
  return found;
}

int Recipe::newest_sequence(const State& state) const {
  int newest = state.redis.watermark;
  for (const Stored& stored : state.redis.profiles) {
    newest = std::max(newest, static_cast<int>(stored.sequence));
  }
  for (int sequence = newest + 1; sequence < kSequences + 4; ++sequence) {
    if (find_record(state, sequence) >= 0) newest = sequence;
  }
  return newest;
}

/// The journal has something for this user above the watermark.
bool Recipe::replayed(const State& state, int user) const {
  for (int sequence = state.keeper.recovery_watermark + 1; sequence <= state.base; ++sequence) {
    const int record = find_record(state, sequence);
    if (record < 0) continue;
    if (((record & 8) != 0 ? record % 8 : user_of(record % 8)) == user) return true;
  }
  return false;
}

void Recipe::recovery(const State& from, Step& moves) const {
  const Keeper& keeper = from.keeper;
  if (keeper.recovery_step == 0) return;
  const int watermark = keeper.recovery_watermark;
  if (keeper.recovery_step == 1) {
    State& to = moves.add({"recovery reads the watermark and the journal"});
    to.connected = 1;
    to.keeper.recovery_watermark = from.redis.watermark;
    to.base = static_cast<Byte>(newest_sequence(from));
    // What was read has to be on the disk before anybody builds on it.
    for (Segment& segment : to.segments) {
      if (!is(Mutant::kRecoveryWithoutSync) && segment.failed == 0) segment.synced = segment.landed;
    }
    to.keeper.recovery_step = 2;
    return;
  }
  int item = keeper.recovery_step - 2;
  if (item < kUsers) {
    const Stored& stored = from.redis.profiles[item];
    // Only who is in Redis for good may be left there: it can still lose the rest.
    const bool settled = is(Mutant::kUnsettledLeftInRedis)
                             ? stored.sequence <= watermark && !replayed(from, item)
                             : stored.sequence <= from.recorded_confirmed && !replayed(from, item);
    State& to = moves.add({"recovery hands over the stored profile of user", item});
    ++to.keeper.recovery_step;
    Profile& profile = to.table[item];
    if (stored.sequence > profile.sequence) profile = {stored.counts, stored.sequence, 0};
    if (stored.sequence == 0 || !settled || profile.sequence == from.table[item].sequence ||
        configuration_.budget.evictions == 0) {
      return;
    }
    State& left = moves.add_optional({"recovery leaves in Redis user", item});
    ++left.keeper.recovery_step;
    left.has_absent = 1;
    return;
  }
  const int sequence = watermark + 1 + item - kUsers;
  if (sequence <= from.base) {
    State& to = moves.add({"recovery replays sequence", sequence});
    ++to.keeper.recovery_step;
    const int record = find_record(from, sequence);
    if (record < 0) {
      fail(to, Violation::kGap);
      return;
    }
    const bool merge = (record & 8) != 0;
    const int subject = record % 8;
    Profile& profile = to.table[merge ? subject : user_of(subject)];
    if (profile.sequence >= sequence) return;
    profile.sequence = static_cast<Byte>(sequence);
    // A merge only raises the sequence: the stored part came from Redis itself.
    if (!merge) profile.counts = with_event(profile.counts, subject);
    if (merge && is(Mutant::kMergeReplayed)) {
      profile.counts = merged(profile.counts, to.redis.profiles[subject].counts);
    }
    return;
  }
  recovered(moves.add({"recovery is complete: sequence", from.base}));
}

void Recipe::recovered(State& to) const {
  to.ids = to.pruned_ids;
  for (int number = 0; number < to.segment_count; ++number) {
    const Segment& segment = to.segments[number];
    for (int at = 0; at < segment.landed; ++at) {
      const int sequence = segment.records[at] / 16;
      if ((segment.records[at] & 8) != 0 || sequence > to.base) continue;
      if (find_record(to, sequence) == segment.records[at]) to.ids |= bit(segment.records[at] % 8);
    }
  }
  if (is(Mutant::kIdsNotRecovered)) to.ids = 0;
  to.sequence = to.drained_sequence = to.base;
  to.watermark = to.keeper.recovery_watermark;
  open_segment(to);
  const Byte segment = to.keeper.segment;
  to.keeper = {};
  to.keeper.segment = segment;
  to.keeper.durable_sequence = to.base;
  to.keeper.walk = 1;
  to.worker = {};
  for (int event = 0; event < configuration_.events; ++event) {
    const int user = user_of(event);
    const Byte counts =
        to.table[user].sequence != 0 ? to.table[user].counts : to.redis.profiles[user].counts;
    if (count_of(counts, event) == 0) {
      to.applied_as[event] = 0;
      if ((to.acked & bit(event)) != 0) fail(to, Violation::kAckedAndLost);
    }
  }
}

}  // namespace deja::model
