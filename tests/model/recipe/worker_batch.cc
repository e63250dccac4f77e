// A worker's step: workers/worker_batch.cc, store by store. Each kind of store is made for all
// records of the batch before the next kind begins; a mutant changes the order of the kinds.
#include <algorithm>

#include "tests/model/recipe/recipe.h"

namespace deja::model {

void Recipe::worker(const State& from, Step& moves) const {
  switch (from.worker.step) {
    case kIdle:
      for (int ring = 0; ring < configuration_.rings; ++ring) {
        const int there = from.rings[ring].produced - from.rings[ring].consumed;
        const int most = std::min({there, configuration_.batch_max, log_room(from)});
        for (int count = 1; count <= most; ++count) take_batch(from, ring, count, moves);
      }
      take_returned(from, moves);
      evict(from, moves);
      return;
    case kInBatch:
      batch_step(from, moves);
      return;
    case kRedo:
      redo_step(from, moves);
      return;
    case kClearEntry: {
      State& to = moves.add({"worker clears the entry of user", from.worker.user});
      to.table[from.worker.user] = {};
      to.worker = {};
      return;
    }
    case kStoreFlag: {
      State& to = moves.add({"worker says that somebody is absent"});
      to.has_absent = 1;
      to.worker = {};
      return;
    }
    default:
      return;
  }
}

int Recipe::log_room(const State& from) const {
  int behind = std::min(from.log_applied, from.log_drained);
  if (is(Mutant::kLogReusedBehindApplied)) behind = from.log_applied;
  return configuration_.log_slots - (from.log_produced - behind);
}

/// Step 1, and step 2 but for the log's producer_position.
void Recipe::take_batch(const State& from, int ring, int count, Step& moves) const {
  State& to = moves.add({"worker takes a batch: ring, records", ring, count});
  to.worker = {};
  to.worker.step = kInBatch;
  to.worker.ring = static_cast<Byte>(ring);
  to.worker.count = static_cast<Byte>(count);
  Byte in_batch = 0;
  Byte new_users = 0;
  Byte sequence = from.sequence;
  for (int at = 0; at < count; ++at) {
    Ring& source = to.rings[ring];
    const int position = source.consumed + at;
    const Byte event = source.events[position];
    const int user = user_of(event);
    LogRecord record{};
    record.subject = event;
    record.ring = static_cast<Byte>(ring);
    record.end = static_cast<Byte>(position + 1);
    const Byte known = is(Mutant::kBatchIdsIgnored) ? to.ids : to.ids | in_batch;
    if ((known & bit(event)) != 0) {
      record.kind = kDuplicate;
      source.duplicate |= bit(position);
    } else {
      record.kind = kApplied;
      record.sequence = ++sequence;
      if (from.table[user].sequence == 0 && (new_users & bit(user)) == 0) {
        record.began = from.has_absent;
        new_users |= bit(user);
      }
      in_batch |= bit(event);
    }
    log_at(to, from.log_produced + at) = record;
  }
}

/// The log position of the batch's first record.
int Recipe::batch_from(const State& state) const {
  bool logged = false;
  for (int at = 0; at < state.worker.order_at; ++at) logged |= order_[at] == BatchStep::kLog;
  if (is(Mutant::kMergeNotLogged) && state.worker.ring == kRings) logged = false;
  return state.log_produced - (logged ? state.worker.count : 0);
}

void Recipe::batch_step(const State& from, Step& moves) const {
  const Worker& worker = from.worker;
  const LogRecord& record = log_at(from, batch_from(from) + worker.at);
  switch (order_[worker.order_at]) {
    case BatchStep::kLog: {
      State& to = moves.add({"worker publishes the log"});
      log_batch(to);
      next_store(to);
      return;
    }
    case BatchStep::kPublish: {
      State& to = moves.add({"worker publishes a profile: sequence", record.sequence});
      publish(to, record);
      next_store(to);
      return;
    }
    case BatchStep::kIds: {
      State& to = moves.add({"worker remembers the id of event", record.subject});
      to.ids |= bit(record.subject);
      next_store(to);
      return;
    }
    case BatchStep::kSequence: {
      State& to = moves.add({"worker stores shard.sequence", record.sequence});
      if (to.sequence + 1 != record.sequence) fail(to, Violation::kSequenceNotNext);
      to.sequence = record.sequence;
      next_store(to);
      return;
    }
    case BatchStep::kConsumed: {
      State& to = moves.add({"worker stores consumer_position: ring", worker.ring});
      if (worker.ring == kRings) {
        ++to.returned_consumed;
      } else {
        to.rings[worker.ring].consumed =
            static_cast<Byte>(to.rings[worker.ring].consumed + worker.count);
      }
      next_store(to);
      return;
    }
    case BatchStep::kApplied: {
      State& to = moves.add({"worker stores applied_position"});
      to.log_applied = to.log_produced;
      next_store(to);
      return;
    }
    case BatchStep::kEnd:
      return;
  }
}

void Recipe::log_batch(State& to) const {
  for (int at = 0; at < to.worker.count; ++at) {
    const LogRecord& record = log_at(to, to.log_produced + at);
    if (record.kind != kMerged) {
      Ring& ring = to.rings[record.ring];
      if ((ring.logged & bit(record.end - 1)) != 0) fail(to, Violation::kLoggedTwice);
      ring.logged |= bit(record.end - 1);
    }
    if (record.kind == kApplied) {
      if (to.applied_as[record.subject] != 0) fail(to, Violation::kAppliedTwice);
      to.applied_as[record.subject] = record.sequence;
    }
  }
  to.log_produced = static_cast<Byte>(to.log_produced + to.worker.count);
}

/// A pure function of (version, record); nothing when that version is there already.
void Recipe::publish(State& to, const LogRecord& record) const {
  Profile& profile = to.table[record.kind == kMerged ? record.subject : user_of(record.subject)];
  if (profile.sequence >= record.sequence) return;
  if (record.kind == kMerged) {
    profile.counts = merged(profile.counts, record.part);
    profile.partial = 0;
  } else {
    profile.counts = with_event(profile.counts, record.subject);
    if (profile.sequence == 0) profile.partial = record.began;
  }
  profile.sequence = record.sequence;
}

bool Recipe::has_store(const State& state, BatchStep what, int at) const {
  const Byte kind = log_at(state, batch_from(state) + at).kind;
  switch (what) {
    case BatchStep::kPublish:
    case BatchStep::kSequence:
      return kind == kApplied || kind == kMerged;
    case BatchStep::kIds:
      return kind == kApplied;
    case BatchStep::kLog:
      return at == 0 && !(is(Mutant::kMergeNotLogged) && state.worker.ring == kRings);
    default:
      return at == 0;
  }
}

/// On to the batch's next store, or to its end.
void Recipe::next_store(State& to) const {
  for (;;) {
    if (++to.worker.at >= to.worker.count) {
      to.worker.at = 0;
      if (order_[++to.worker.order_at] == BatchStep::kEnd) {
        to.worker = {};
        return;
      }
    }
    const BatchStep what = order_[to.worker.order_at];
    if (!has_store(to, what, to.worker.at)) continue;
    if (what != BatchStep::kIds || to.budget.worker_kills != 0) return;
    // The ids are the worker's alone: without a kill to come nobody can tell when it stored them.
    to.ids |= bit(log_at(to, batch_from(to) + to.worker.at).subject);
  }
}

}  // namespace deja::model
