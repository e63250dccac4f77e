// What happened between two looks at an appliance: rates, latencies. Pure functions of what was
// gathered; the live page computes the same in its own language (tools/console/page/figures.mjs).
// Any thread.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "shm/histogram.h"
#include "tools/inspect/appliance_state.h"

namespace deja {

/// Events a second.
struct EventRates {
  double received = 0;
  double accepted = 0;
  double applied = 0;
  double duplicate = 0;
  double rejected = 0;
};

/// Nothing where the two are not of one incarnation, the later one later.
[[nodiscard]] std::optional<EventRates> rates_between(const ApplianceState& before,
                                                      const ApplianceState& after);

struct StageLatency {
  const char* stage = "";  ///< "receive → visible"
  unsigned rank = 0;       ///< 0: the last to be left out; from kEventStages on of no event's way
  HistogramCopy copy;      ///< over all processes and threads; of max it has that since the start
};
inline constexpr unsigned kEventStages = 6;

/// Each stage that was ever measured, in the order of an event's way; since the start where the two
/// can't be compared, or there is no `before`.
[[nodiscard]] std::vector<StageLatency> latencies_between(const ApplianceState* before,
                                                          const ApplianceState& after);

/// The looks of the last while, oldest first.
class LookHistory {
 public:
  explicit LookHistory(std::int64_t kept_us) : kept_us_(kept_us) {}

  /// Forgets what came before a new incarnation, and all but one that are older than the while.
  void add(ApplianceState state);
  /// The newest that is at least so much older than the last, else the oldest; nullptr where there
  /// is only one. Valid until the next add().
  [[nodiscard]] const ApplianceState* before(std::int64_t ago_us) const;
  [[nodiscard]] const ApplianceState& last() const { return states_.back(); }
  [[nodiscard]] bool empty() const { return states_.empty(); }

 private:
  std::int64_t kept_us_;
  std::deque<ApplianceState> states_;
};

}  // namespace deja
