#include "ingest/verdict_shelf.h"

namespace deja {

void VerdictShelf::put(std::uint64_t ring_end, RefusalReason reason) {
  if (ring_end <= newest_end_ || reason == RefusalReason::kNone) return;
  if (last_ - first_ == verdicts_.size()) {
    if (at(first_).reason != RefusalReason::kNone) forget_until(at(first_).ring_end);
    ++first_;
  }
  at(last_++) = {ring_end, reason};
  newest_end_ = ring_end;
}

RefusalReason VerdictShelf::take(std::uint64_t ring_end) {
  std::uint64_t low = first_;
  std::uint64_t high = last_;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (at(middle).ring_end < ring_end) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == last_ || at(low).ring_end != ring_end) {
    return ring_end <= forgotten_until_ ? RefusalReason::kTableFull : RefusalReason::kNone;
  }
  const RefusalReason reason = at(low).reason;
  at(low).reason = RefusalReason::kNone;
  while (first_ != last_ && at(first_).reason == RefusalReason::kNone) ++first_;
  return reason;
}

}  // namespace deja
