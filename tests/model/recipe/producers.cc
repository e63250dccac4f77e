// Producers and ingest. A producer sends each event once and again, on whichever connection and so
// into whichever ring, as long as it has no answer. Ingest remembers who waits for which position
// and answers when the position that the level names has passed it.
#include "tests/model/recipe/recipe.h"

namespace deja::model {

void Recipe::producers(const State& from, Step& moves) const {
  for (int event = 0; event < configuration_.events; ++event) {
    const bool sent = (from.sent & bit(event)) != 0;
    const bool acked = (from.acked & bit(event)) != 0;
    if (sent && (acked || from.budget.resends == 0)) continue;
    for (int number = 0; number < configuration_.rings; ++number) {
      if (from.rings[number].produced == kRingSlots) continue;
      State& to = sent ? moves.add_optional({"a producer sends again: event, ring", event, number})
                       : moves.add({"a producer sends: event, ring", event, number});
      if (sent) --to.budget.resends;
      to.sent |= bit(event);
      Ring& ring = to.rings[number];
      ring.events[ring.produced] = static_cast<Byte>(event);
      ring.pending |= bit(ring.produced);
      ++ring.produced;
    }
  }
}

void Recipe::acks(const State& from, Step& moves) const {
  for (int number = 0; number < configuration_.rings; ++number) {
    const Ring& ring = from.rings[number];
    for (int position = 0; position < ring.produced; ++position) {
      if ((ring.pending & bit(position)) == 0) continue;
      bool due = (configuration_.durable ? ring.durable : ring.consumed) > position;
      if (is(Mutant::kDuplicatesAckedWhenConsumed) && (ring.duplicate & bit(position)) != 0) {
        due = ring.consumed > position;
      }
      if (!due) continue;
      const int event = ring.events[position];
      State& to = moves.add({"ingest acks: event, ring", event, number});
      to.rings[number].pending &= static_cast<Byte>(~bit(position));
      to.acked |= bit(event);
      if (configuration_.durable) break;
      // An `applied` ack says: whoever looks now sees it.
      const int user = user_of(event);
      const Byte seen = from.table[user].sequence != 0 ? from.table[user].counts
                                                       : from.redis.profiles[user].counts;
      if (count_of(seen, event) != 1) fail(to, Violation::kAckedAndNotVisible);
      break;
    }
  }
}

}  // namespace deja::model
