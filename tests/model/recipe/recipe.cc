#include "tests/model/recipe/recipe.h"

#include <algorithm>
#include <initializer_list>

namespace deja::model {
namespace {

using Order = std::initializer_list<BatchStep>;

Order order_of(Mutant mutant) {
  using enum BatchStep;
  static const Order recipe{kLog, kPublish, kIds, kSequence, kConsumed, kApplied, kEnd};
  static const Order publish_first{kPublish, kLog, kIds, kSequence, kConsumed, kApplied, kEnd};
  static const Order consumed_first{kConsumed, kLog, kPublish, kIds, kSequence, kApplied, kEnd};
  static const Order consumed_second{kLog, kConsumed, kPublish, kIds, kSequence, kApplied, kEnd};
  static const Order ids_first{kIds, kLog, kPublish, kSequence, kConsumed, kApplied, kEnd};
  static const Order applied_early{kLog, kPublish, kIds, kConsumed, kApplied, kSequence, kEnd};
  static const Order applied_sooner{kLog, kPublish, kIds, kSequence, kApplied, kConsumed, kEnd};
  static const Order ids_second{kLog, kIds, kPublish, kSequence, kConsumed, kApplied, kEnd};
  static const Order consumed_sooner{kLog, kPublish, kIds, kConsumed, kSequence, kApplied, kEnd};
  switch (mutant) {
    case Mutant::kPublishBeforeLog:
      return publish_first;
    case Mutant::kConsumedBeforeLog:
      return consumed_first;
    case Mutant::kConsumedBeforePublish:
      return consumed_second;
    case Mutant::kIdsBeforeLog:
      return ids_first;
    case Mutant::kAppliedBeforeSequence:
      return applied_early;
    case Mutant::kAppliedBeforeConsumed:
      return applied_sooner;
    case Mutant::kIdsBeforePublish:
      return ids_second;
    case Mutant::kConsumedBeforeSequence:
      return consumed_sooner;
    default:
      return recipe;
  }
}

}  // namespace

Recipe::Recipe(const Configuration& configuration, Mutant mutant)
    : configuration_(configuration), mutant_(mutant) {
  std::copy_n(order_of(mutant).begin(), order_of(mutant).size(), order_);
}

State Recipe::initial() const {
  State state{};
  state.epoch = 1;
  state.connected = 1;
  state.budget = configuration_.budget;
  if (configuration_.keeper) {
    open_segment(state);
    if (configuration_.redis) state.keeper.walk = 1;
  }
  if (configuration_.settled) settle(state);
  tidy(state);
  return state;
}

/// What a run comes to that begins with event 0 and lets everything come to rest.
void Recipe::settle(State& state) const {
  const int user = user_of(0);
  const Byte counts = with_event(0, 0);
  state.sent = state.acked = state.ids = bit(0);
  state.applied_as[0] = 1;
  Ring& ring = state.rings[0];
  ring.produced = ring.consumed = ring.durable = 1;
  state.log_produced = state.log_applied = state.log_drained = state.drained_sequence = 1;
  state.sequence = state.watermark = state.confirmed = 1;
  state.table[user] = {counts, 1, 0};
  Keeper& keeper = state.keeper;
  keeper.cursor = keeper.grouped = keeper.durable_sequence = keeper.candidate = 1;
  keeper.walk = 0;
  state.redis.profiles[user] = {counts, 1, state.epoch};
  state.redis.watermark = state.redis.watermark_epoch = 1;
  state.persisted = state.redis;
  Segment& segment = state.segments[0];
  segment.count = segment.landed = segment.synced = 1;
  segment.records[0] = journal_record(1, 0, false);
}

void Recipe::successors(const State& from, Step& moves) const {
  if (from.violation != 0) return;
  producers(from, moves);
  acks(from, moves);
  worker(from, moves);
  keeper_journal(from, moves);
  if (configuration_.keeper) {
    keeper_pass(from, moves);
    recovery(from, moves);
  }
  faults(from, moves);
  for (std::size_t at = 0; at < moves.count(); ++at) tidy(moves.state(at));
}

void Recipe::fail(State& state, Violation violation) {
  if (state.violation == 0) state.violation = static_cast<Byte>(violation);
}

/// Zeroes what nobody will look at any more, so that states which differ in nothing else are one.
void Recipe::tidy(State& state) const {
  for (Ring& ring : state.rings) {
    for (int position = 0; position < ring.produced; ++position) {
      const bool waiting = (ring.pending & bit(position)) != 0;
      if (!waiting) ring.duplicate &= static_cast<Byte>(~bit(position));
      if (position >= ring.consumed) continue;
      ring.logged &= static_cast<Byte>(~bit(position));
      if (!waiting) ring.events[position] = 0;
    }
  }
  const int begin = std::min(state.log_applied, state.log_drained);
  const int end = state.worker.step == kInBatch ? batch_from(state) + state.worker.count : 0;
  unsigned used = 0;
  for (int position = begin; position < std::max<int>(state.log_produced, end); ++position) {
    used |= 1U << static_cast<unsigned>(position % configuration_.log_slots);
  }
  for (unsigned slot = 0; slot < kLogSlots; ++slot) {
    if ((used >> slot & 1U) == 0) state.log[slot] = {};
  }
  used = 0;
  for (int at = state.returned_consumed; at < state.returned_produced; ++at) {
    used |= 1U << static_cast<unsigned>(at % kReturnSlots);
  }
  for (unsigned slot = 0; slot < kReturnSlots; ++slot) {
    if ((used >> slot & 1U) == 0) state.returned[slot] = {};
  }
  if (!journal_matters(state)) {
    for (Segment& segment : state.segments) segment = {};
    state.segment_count = state.pruned_ids = state.recorded_confirmed = state.keeper.segment = 0;
    state.late_write_segment = state.late_write_at = state.late_write_count = 0;
    std::fill(std::begin(state.late_write), std::end(state.late_write), Byte{0});
  }
  if (state.budget.redis_losses == 0) state.persisted = {};
  if (state.budget.evictions == 0 && !(configuration_.prunes && journal_matters(state))) {
    state.confirmed = state.keeper.candidate = state.recorded_confirmed = 0;
  }
}

}  // namespace deja::model
