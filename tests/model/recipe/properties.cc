// What must be true of every state, and what must be true when nothing is left to be done.
#include <cstdio>

#include "tests/model/recipe/recipe.h"

namespace deja::model {

const char* text_of(Violation violation) {
  switch (violation) {
    case Violation::kNone:
      return nullptr;
    case Violation::kAppliedTwice:
      return "an event is applied twice";
    case Violation::kNeverSent:
      return "a profile has an event that was never sent";
    case Violation::kLoggedTwice:
      return "a consumed record has two log records";
    case Violation::kAckedAndLost:
      return "an acknowledged event is lost";
    case Violation::kAckedAndNotVisible:
      return "an event acked as applied is not visible";
    case Violation::kRedisWentBack:
      return "a profile in Redis goes back";
    case Violation::kWatermarkAbove:
      return "the watermark in Redis is above what Redis has";
    case Violation::kGap:
      return "recovery finds a gap above the watermark";
    case Violation::kSequenceNotNext:
      return "an event is not the one that comes next";
    case Violation::kNeverAcked:
      return "a producer who waits is never answered";
    case Violation::kRedisNotTheTable:
      return "drained, and Redis is not the table";
    case Violation::kPartialForGood:
      return "a profile stays partial";
    case Violation::kStuck:
      return "nothing moves, and there is work";
  }
  return "?";
}

const char* Recipe::violation(const State& state, const Step& moves) const {
  if (state.violation != 0) return text_of(static_cast<Violation>(state.violation));
  if (const Violation found = broken(state); found != Violation::kNone) return text_of(found);
  return moves.progress() ? nullptr : text_of(at_rest(state));
}

Violation Recipe::broken(const State& state) const {
  for (int event = 0; event < configuration_.events; ++event) {
    const int user = user_of(event);
    for (const Byte counts : {state.table[user].counts, state.redis.profiles[user].counts}) {
      if (count_of(counts, event) > 1) return Violation::kAppliedTwice;
      if (count_of(counts, event) == 1 && (state.sent & bit(event)) == 0) {
        return Violation::kNeverSent;
      }
    }
    if (state.applied_as[event] != 0 && state.applied_as[event] <= state.redis.watermark &&
        count_of(state.redis.profiles[user].counts, event) != 1) {
      return Violation::kWatermarkAbove;
    }
  }
  return Violation::kNone;
}

/// Everybody is alive and has nothing to do.
Violation Recipe::at_rest(const State& state) const {
  for (const Ring& ring : state.rings) {
    if (ring.consumed != ring.produced) return Violation::kStuck;
    if (ring.pending != 0) return Violation::kNeverAcked;
  }
  if (state.worker.step != kIdle || state.log_applied != state.log_produced ||
      state.log_drained != state.log_produced ||
      state.returned_consumed != state.returned_produced) {
    return Violation::kStuck;
  }
  for (int event = 0; event < configuration_.events; ++event) {
    const int user = user_of(event);
    const Byte counts = state.table[user].sequence != 0 ? state.table[user].counts
                                                        : state.redis.profiles[user].counts;
    const bool must_be_there = (state.acked & bit(event)) != 0 || state.applied_as[event] != 0;
    if (must_be_there && count_of(counts, event) != 1) return Violation::kAckedAndLost;
  }
  for (int user = 0; user < kUsers; ++user) {
    const Profile& profile = state.table[user];
    if (profile.partial != 0) return Violation::kPartialForGood;
    if (!configuration_.redis || profile.sequence == 0) continue;
    const Stored& stored = state.redis.profiles[user];
    if (stored.counts != profile.counts || stored.sequence != profile.sequence) {
      return Violation::kRedisNotTheTable;
    }
  }
  if (configuration_.redis && state.redis.watermark != state.sequence) {
    return Violation::kRedisNotTheTable;
  }
  return Violation::kNone;
}

std::string Recipe::describe(const State& state) const {
  const auto profile = [](int counts, int sequence, bool partial) {
    std::string text = "{";
    for (int event = 0; event < kEvents; ++event) {
      for (int count = count_of(static_cast<Byte>(counts), event); count > 0; --count) {
        text += static_cast<char>('0' + event);
      }
    }
    return text + "}@" + std::to_string(sequence) + (partial ? "p" : "");
  };
  std::string text;
  for (int number = 0; number < configuration_.rings; ++number) {
    const Ring& ring = state.rings[number];
    text += "ring" + std::to_string(number) + " " + std::to_string(ring.durable) + "/" +
            std::to_string(ring.consumed) + "/" + std::to_string(ring.produced) + " ";
  }
  text += "log " + std::to_string(state.log_applied) + "," + std::to_string(state.log_drained) +
          "/" + std::to_string(state.log_produced) + " seq " + std::to_string(state.sequence);
  for (const Profile& block : state.table) {
    text += " " + profile(block.counts, block.sequence, block.partial != 0);
  }
  if (configuration_.redis) {
    text += " redis";
    for (const Stored& stored : state.redis.profiles) {
      text += " " + profile(stored.counts, stored.sequence, false);
    }
    text += " watermark " + std::to_string(state.redis.watermark) + "," +
            std::to_string(state.watermark) + "," + std::to_string(state.confirmed);
  }
  for (int number = 0; number < state.segment_count; ++number) {
    const Segment& segment = state.segments[number];
    text += " journal" + std::to_string(number) + ":" + std::to_string(segment.synced) + "/" +
            std::to_string(segment.landed) + "/" + std::to_string(segment.count);
  }
  return text;
}

}  // namespace deja::model
