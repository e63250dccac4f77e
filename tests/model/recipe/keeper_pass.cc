// The keeper's second half: a pass writes what changed to Redis and moves the watermark; and the
// stored part of who came back is fetched. workers/keeper/write_behind.cc in small steps.
#include <algorithm>

#include "tests/model/recipe/recipe.h"

namespace deja::model {

void Recipe::keeper_pass(const State& from, Step& moves) const {
  const Keeper& keeper = from.keeper;
  if (!configuration_.redis || keeper.recovery_step != 0) return;
  if (from.connected == 0) {
    State& to = moves.add({"keeper connects to Redis again"});
    to.connected = 1;
    const bool lower = from.redis.watermark < from.watermark;
    if (lower && !is(Mutant::kWatermarkNotReadAgain)) {
      to.watermark = from.redis.watermark;
      to.keeper.candidate = std::min(to.keeper.candidate, to.watermark);
    }
    // Lower or not: what it had said "written" to above its watermark it may have lost as well.
    if (lower || !is(Mutant::kWalkOnlyWhereLower)) walk_all(to);
    return;
  }
  fetch(from, moves);
  switch (keeper.pass_step) {
    case kNoPass: {
      bool work = from.sequence > from.watermark || keeper.walk != 0;
      bool partial = false;
      bool whole = keeper.walk != 0;
      for (int user = 0; user < kUsers; ++user) {
        work |= keeper.touched[user] != 0;
        partial |= from.table[user].partial != 0;
        whole |= keeper.touched[user] != 0 && from.table[user].partial == 0;
      }
      if (!work) return;
      // A pass that can only find a partial profile once more is no progress.
      State& to = !partial || whole ? moves.add({"keeper begins a pass: sequence", from.sequence})
                                    : moves.add_optional({"keeper begins an idle pass"});
      to.keeper.pass_before = from.sequence;
      to.keeper.pass_step = kDraining;
      return;
    }
    case kDraining: {
      State& to = moves.add({"keeper drains the log for its pass"});
      drain(to);
      Keeper& pass = to.keeper;
      for (int user = 0; user < kUsers; ++user) {
        if (pass.touched[user] != 0 || pass.walk != 0) pass.pass_todo |= bit(user);
        pass.pass_touched[user] = pass.touched[user];
        pass.touched[user] = 0;
      }
      pass.pass_walk = pass.walk;
      pass.pass_newest = pass.walk_newest;
      pass.walk = pass.walk_newest = 0;
      pass.pass_step = kCopying;
      if (pass.pass_todo == 0) end_pass(to);
      return;
    }
    case kCopying:
      copy_next(moves.add({"keeper copies the next profile"}));
      return;
    case kWaiting:
      if (keeper.command.sequence <= keeper.durable_sequence) {
        State& to = moves.add({"keeper sends a profile: user, sequence", keeper.command.user,
                               keeper.command.sequence});
        to.keeper.pass_step = kProfileSent;
      }
      return;
    case kProfileSent: {
      State& to = moves.add({"Redis takes the profile, the keeper reads the reply"});
      execute(to, keeper.command);
      to.keeper.command = {};
      to.keeper.pass_step = kCopying;
      if (keeper.pass_todo == 0) end_pass(to);
      if (from.budget.refusals == 0) return;
      State& refused = moves.add_optional({"Redis refuses the profile"});
      --refused.budget.refusals;
      // A mutant sent the watermark in the same breath.
      if (!is(Mutant::kWatermarkBeforeReplies)) refused.keeper.pass_held = 1;
      touch(refused, keeper.command.user, keeper.command.sequence);
      refused.keeper.command = {};
      refused.keeper.pass_step = kCopying;
      if (keeper.pass_todo == 0) end_pass(refused);
      return;
    }
    case kWatermarkSent: {
      State& to = moves.add({"Redis takes the watermark", keeper.command.sequence});
      execute(to, keeper.command);
      to.keeper.command = {};
      to.keeper.pass_step = kStoringWatermark;
      return;
    }
    case kStoringWatermark: {
      State& to = moves.add({"keeper stores the watermark", keeper.pass_before});
      to.watermark = keeper.pass_before;
      if (is(Mutant::kConfirmedWithoutWindow)) to.confirmed = to.watermark;
      to.keeper.pass_step = kNoPass;
      to.keeper.pass_before = 0;
      return;
    }
    default:
      return;
  }
}

/// The next profile of the pass: copied whole, as it is now, and sent as soon as it is durable.
void Recipe::copy_next(State& to) const {
  Keeper& pass = to.keeper;
  int user = 0;
  while ((pass.pass_todo & bit(user)) == 0) ++user;
  pass.pass_todo &= static_cast<Byte>(~bit(user));
  if (wants_write(to, user)) {
    const Profile& profile = to.table[user];
    pass.command = {kWriteProfile, static_cast<Byte>(user), profile.counts, profile.sequence,
                    to.epoch};
    const bool durable = profile.sequence <= pass.durable_sequence ||
                         is(Mutant::kFlushAboveDurable) || is(Mutant::kWatermarkIsDurable);
    pass.pass_step = durable ? kProfileSent : kWaiting;
  } else if (pass.pass_todo == 0) {
    end_pass(to);
  }
}

bool Recipe::wants_write(State& to, int user) const {
  Keeper& pass = to.keeper;
  const Byte newest = pass.pass_touched[user];
  pass.pass_touched[user] = 0;
  const Profile& profile = to.table[user];
  if (profile.sequence == 0) {
    // Counted and gone: evicted. Not counted yet: its first version is on its way.
    if (newest > pass.pass_before) touch(to, user, newest);
    return false;
  }
  if (profile.partial != 0 && !is(Mutant::kPartialFlushed)) {
    // Its stored part would be overwritten with the rest alone.
    if (!is(Mutant::kPartialLetsWatermarkPass)) pass.pass_held = 1;
    if (pass.pass_walk != 0) pass.wanted |= bit(user);
    touch(to, user, profile.sequence);
    return false;
  }
  if (profile.sequence < newest) {
    if (newest <= pass.pass_before) pass.pass_held = 1;
    touch(to, user, newest);
  }
  return profile.sequence > to.watermark || newest != 0;
}

/// All replies are read: the watermark may follow.
void Recipe::end_pass(State& to) const {
  Keeper& pass = to.keeper;
  if (pass.pass_walk != 0 && pass.pass_newest > pass.pass_before) {
    walk_all(to);
    pass.walk_newest = std::max(pass.walk_newest, pass.pass_newest);
  }
  const Byte before = is(Mutant::kWatermarkLoadedLate) ? to.sequence : pass.pass_before;
  const bool moves_on = pass.pass_held == 0 && before > to.watermark;
  pass.pass_step = moves_on ? kWatermarkSent : kNoPass;
  pass.pass_before = moves_on ? before : 0;
  if (moves_on) pass.command = {kWriteWatermark, 0, 0, before, to.epoch};
  pass.pass_walk = pass.pass_newest = pass.pass_held = 0;
}

/// The connection is gone: the pass is abandoned, and what it had not finished is touched again.
void Recipe::connection_lost(State& to) const {
  to.connected = 0;
  to.late_command = {};
  Keeper& pass = to.keeper;
  if (pass.recovery_step != 0) pass.recovery_step = 1;
  if (pass.pass_walk != 0) {
    const Byte newest = pass.pass_newest;
    walk_all(to);
    pass.walk_newest = std::max(pass.walk_newest, newest);
  }
  for (int user = 0; user < kUsers; ++user) {
    if (pass.pass_touched[user] != 0) touch(to, user, pass.pass_touched[user]);
    pass.pass_touched[user] = 0;
  }
  if (pass.command.kind == kWriteProfile) touch(to, pass.command.user, pass.command.sequence);
  pass.command = {};
  pass.pass_step = kNoPass;
  pass.pass_todo = pass.pass_walk = pass.pass_newest = pass.pass_held = pass.pass_before = 0;
}

/// In Redis, whole: nothing changes unless (epoch, sequence) is above what is stored.
void Recipe::execute(State& to, const Command& command) const {
  const auto above = [&](Byte epoch, Byte sequence) {
    return is(Mutant::kNoGuard) || command.epoch > epoch ||
           (command.epoch == epoch && command.sequence > sequence);
  };
  if (command.kind == kWriteWatermark) {
    if (!above(to.redis.watermark_epoch, to.redis.watermark)) return;
    if (command.sequence < to.redis.watermark) fail(to, Violation::kRedisWentBack);
    to.redis.watermark = command.sequence;
    to.redis.watermark_epoch = command.epoch;
    return;
  }
  Stored& stored = to.redis.profiles[command.user];
  if (!above(stored.epoch, stored.sequence)) return;
  if (command.sequence < stored.sequence) fail(to, Violation::kRedisWentBack);
  for (int event = 0; event < kEvents; ++event) {
    if (count_of(command.counts, event) < count_of(stored.counts, event)) {
      fail(to, Violation::kRedisWentBack);
    }
  }
  stored = {command.counts, command.sequence, command.epoch};
}

/// Reads the stored part of who came back and hands it over at once, or leaves both for later: no
/// image grows old in the keeper's hands.
void Recipe::fetch(const State& from, Step& moves) const {
  if (from.keeper.wanted == 0) return;
  if (from.returned_produced - from.returned_consumed == kReturnSlots) return;
  int user = 0;
  while ((from.keeper.wanted & bit(user)) == 0) ++user;
  State& to = moves.add({"keeper hands over the stored part of user", user});
  to.keeper.wanted &= static_cast<Byte>(~bit(user));
  to.returned[to.returned_produced % kReturnSlots] = {static_cast<Byte>(user),
                                                      to.redis.profiles[user].counts};
  ++to.returned_produced;
}

}  // namespace deja::model
