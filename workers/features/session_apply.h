// session: one more event, and two columns into one. Layout: shm/columns/session_column.h. On a
// private copy; one thread per copy; no allocation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shm/columns/session_column.h"
#include "shm/feature_spec.h"
#include "workers/features/pane_advance.h"

namespace deja::features {

/// An event within `gap` of the current run extends it (and joins it with the previous one where
/// they now touch), a newer one begins a run, an older one counts only if it touches the previous
/// run; else it is late.
Applied apply_session(const FeatureSpec& spec, std::uint8_t* column, std::int64_t time_us);

/// What most events are to a session: one more of the current run, not before its start. True when
/// this was one, and it is done as apply_session would. False where anything asks for more: nothing
/// is changed then. `time` is encoded (columns::encode_instant).
[[nodiscard]] inline bool continue_run(const FeatureSpec& spec, std::uint8_t* column,
                                       std::uint64_t time) {
  using columns::load;
  using Layout = columns::SessionColumnLayout;
  const auto instant = [&](std::size_t offset) { return load<std::uint64_t>(column + offset); };
  const auto count = [&](std::size_t offset) { return load<std::uint32_t>(column + offset); };
  const auto since = [](std::uint64_t later, std::uint64_t earlier) {
    return static_cast<std::int64_t>(later - earlier);
  };
  // apply_session writes instants within their limit, a mark of 0 or 1, and of a run that is not
  // there zeroes. Bytes of anybody else are left to it.
  constexpr std::uint64_t kOldest = columns::encode_instant(-columns::kInstantLimit);
  const std::uint64_t start = instant(offsetof(Layout, current_start));
  const std::uint64_t end = instant(offsetof(Layout, current_end));
  const std::uint64_t first_start = instant(offsetof(Layout, first_start));
  const std::uint64_t previous_start = instant(offsetof(Layout, previous_start));
  const std::uint64_t previous_end = instant(offsetof(Layout, previous_end));
  std::uint64_t above_oldest = (start - kOldest) | (end - kOldest) | (first_start - kOldest);
  if (previous_start == 0) {
    if ((previous_end | count(offsetof(Layout, previous_events))) != 0) return false;
  } else {
    above_oldest |= (previous_start - kOldest) | (previous_end - kOldest);
    if (since(start, previous_end) <= spec.gap_us) return false;
  }
  if (above_oldest >= std::uint64_t{columns::kInstantLimit} * 2) return false;
  if (count(offsetof(Layout, estimated)) > 1) return false;
  const std::uint32_t events = count(offsetof(Layout, current_events));
  if (time < start || time < first_start || since(time, end) > spec.gap_us) return false;
  if (events == UINT32_MAX) return false;
  if (time > end) columns::store(column + offsetof(Layout, current_end), time);
  columns::store(column + offsetof(Layout, current_events), events + 1);
  return true;
}

/// Exact unless a run that one side no longer keeps may have touched one of the other's; then the
/// count is an estimate, and is marked as one (README.md, "Decisions").
void merge_session(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from);

}  // namespace deja::features
