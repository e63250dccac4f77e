// Profiles that leave and come back. An eviction clears the entry, after the shard has said that
// somebody may be absent. A stored part that comes back is merged as one more logged step.
#include "tests/model/recipe/recipe.h"

namespace deja::model {

void Recipe::take_returned(const State& from, Step& moves) const {
  if (from.returned_produced == from.returned_consumed) return;
  const Returned& part = from.returned[from.returned_consumed % kReturnSlots];
  const Profile& profile = from.table[part.user];
  const bool wanted = profile.sequence != 0 && (profile.partial != 0 || is(Mutant::kMergedTwice));
  if (!wanted) {
    State& to = moves.add({"worker passes over what came back for user", part.user});
    ++to.returned_consumed;
    return;
  }
  if (log_room(from) == 0) return;
  State& to = moves.add({"worker takes the stored part of user", part.user});
  to.worker = {};
  to.worker.step = kInBatch;
  to.worker.ring = kRings;
  to.worker.count = 1;
  LogRecord record{};
  record.kind = kMerged;
  record.sequence = static_cast<Byte>(from.sequence + 1);
  record.subject = part.user;
  record.ring = kRings;
  record.part = part.counts;
  log_at(to, from.log_produced) = record;
  if (!has_store(to, order_[0], 0)) next_store(to);
}

void Recipe::evict(const State& from, Step& moves) const {
  if (from.budget.evictions == 0) return;
  // `confirmed` is loaded before the return ring is looked at: what the keeper put there for an
  // earlier absence is taken, and passed over, before there can be another one.
  if (from.returned_produced != from.returned_consumed && !is(Mutant::kEvictOverUnreadReturn)) {
    return;
  }
  for (int user = 0; user < kUsers; ++user) {
    const Profile& profile = from.table[user];
    if (profile.sequence == 0 || profile.partial != 0 || profile.sequence > from.confirmed)
      continue;
    State& to = moves.add_optional({"worker evicts user", user});
    --to.budget.evictions;
    if (from.has_absent != 0 || is(Mutant::kFlagAfterClear)) {
      to.table[user] = {};
      if (from.has_absent == 0) to.worker.step = kStoreFlag;
    } else {
      to.has_absent = 1;
      to.worker.step = kClearEntry;
      to.worker.user = static_cast<Byte>(user);
    }
  }
}

}  // namespace deja::model
