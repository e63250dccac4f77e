// What a new worker does before anything else: workers/worker_redo.cc, store by store. Each call
// makes the first store that is missing, so that a kill in between is a kill within the redo.
#include "tests/model/recipe/recipe.h"

namespace deja::model {

void Recipe::begin_redo(State& to) const {
  to.worker = {};
  if (is(Mutant::kNoRedo)) to.log_applied = to.log_produced;
  if (to.log_applied == to.log_produced) return;
  to.worker.step = kRedo;
  to.worker.at = to.log_applied;
}

void Recipe::redo_step(const State& from, Step& moves) const {
  for (int position = from.worker.at; position < from.log_produced; ++position) {
    const LogRecord& record = log_at(from, position);
    const auto store = [&](Label label) -> State& {
      State& to = moves.add(label);
      to.worker.at = static_cast<Byte>(position);
      return to;
    };
    if (record.kind == kApplied || record.kind == kMerged) {
      const int user = record.kind == kMerged ? record.subject : user_of(record.subject);
      const bool published = from.table[user].sequence >= record.sequence;
      const bool complete =
          is(Mutant::kRedoByBlockOnly) ? published : from.sequence >= record.sequence;
      if (!complete && !published) {
        publish(store({"redo publishes a profile: sequence", record.sequence}), record);
        return;
      }
      if (!complete && record.kind == kApplied && (from.ids & bit(record.subject)) == 0) {
        store({"redo remembers the id of event", record.subject}).ids |= bit(record.subject);
        return;
      }
      if (!complete) {
        State& to = store({"redo stores shard.sequence", record.sequence});
        if (to.sequence + 1 != record.sequence) fail(to, Violation::kSequenceNotNext);
        to.sequence = record.sequence;
        return;
      }
    }
    if (record.kind != kMerged && from.rings[record.ring].consumed < record.end) {
      store({"redo stores consumer_position: ring", record.ring}).rings[record.ring].consumed =
          record.end;
      return;
    }
  }
  State& to = moves.add({"redo stores applied_position"});
  to.log_applied = to.log_produced;
  to.worker = {};
}

}  // namespace deja::model
