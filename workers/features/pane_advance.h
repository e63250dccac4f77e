// Moving a ring of panes (shm/columns/pane_ring.h) forward. On a private copy; one thread per copy;
// no allocation.
#pragma once

#include <cstdint>

#include "shm/columns/bytes.h"
#include "shm/columns/pane_ring.h"
#include "shm/feature_spec.h"

namespace deja::features {

/// What a value did to a column.
enum class [[nodiscard]] Applied : std::uint8_t{
    kTaken,
    kSkipped,  ///< not the kind of value that this feature takes
    kLate,     ///< older than anything that the feature still keeps
};

struct Advance {
  bool late = false;       ///< the pane is older than the kept ones; nothing was changed
  std::int64_t moved = 0;  ///< by how many panes the newest one moved; 0 for the first event
};

/// Makes `pane` one of the kept panes; `clear(slot)` must zero the cell of a slot, and is called
/// once for each slot whose pane is given up.
template <typename Clear>
[[nodiscard]] Advance advance_to(const FeatureSpec& spec, std::uint8_t* column, std::int64_t pane,
                                 const Clear& clear) {
  if (spec.window_us == 0) return {};
  const columns::PaneRange kept = columns::panes_kept(spec, column);
  if (!kept.empty()) {
    if (pane < kept.first) return {.late = true};
    if (pane <= kept.last) return {};
    const std::int64_t moved = pane - kept.last;
    const std::int64_t cleared = moved < spec.panes ? moved : spec.panes;
    for (std::int64_t entered = pane - cleared + 1; entered <= pane; ++entered) {
      clear(columns::pane_slot(spec, entered));
    }
    columns::store(column, columns::encode_instant(pane));
    return {.moved = moved};
  }
  columns::store(column, columns::encode_instant(pane));
  return {};
}

/// Advances `into` to the newest pane of `from`, then calls `combine(slot)` for each pane that both
/// rings keep. Returns how far `into` moved. Does nothing when `from` never had an event.
template <typename Clear, typename Combine>
std::int64_t merge_panes(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from,
                         const Clear& clear, const Combine& combine) {
  const columns::PaneRange theirs = columns::panes_kept(spec, from);
  if (theirs.empty()) return 0;
  const Advance advance = advance_to(spec, into, theirs.last, clear);
  const columns::PaneRange ours = columns::panes_kept(spec, into);
  const std::int64_t first = theirs.first > ours.first ? theirs.first : ours.first;
  for (std::int64_t pane = first; pane <= theirs.last; ++pane) {
    combine(columns::pane_slot(spec, pane));
  }
  return advance.moved;
}

/// A mark of shm/columns/pane_ring.h (encode_age) after the newest pane moved on; 0 once its pane
/// is no longer kept.
[[nodiscard]] inline std::uint8_t moved_age(const FeatureSpec& spec, std::uint8_t age,
                                            std::int64_t moved) {
  if (age == 0 || moved >= spec.panes || age + moved > spec.panes) return 0;
  return static_cast<std::uint8_t>(age + moved);
}

/// The newer one of two marks, of rings with these newest panes, as seen from `newest`.
[[nodiscard]] inline std::uint8_t merged_age(const FeatureSpec& spec, std::int64_t newest,
                                             std::uint8_t ours, std::int64_t their_newest,
                                             std::uint8_t theirs) {
  const std::uint8_t seen = moved_age(spec, theirs, newest - their_newest);
  if (ours == 0 || seen == 0) return ours == 0 ? seen : ours;
  return ours < seen ? ours : seen;
}

}  // namespace deja::features
