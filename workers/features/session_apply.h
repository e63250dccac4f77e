// session: one more event, and two columns into one. Layout: shm/columns/session_column.h. On a
// private copy; one thread per copy; no allocation.
#pragma once

#include <cstdint>

#include "shm/feature_spec.h"
#include "workers/features/pane_advance.h"

namespace deja::features {

/// An event within `gap` of the current run extends it (and joins it with the previous one where
/// they now touch), a newer one begins a run, an older one counts only if it touches the previous
/// run; else it is late.
Applied apply_session(const FeatureSpec& spec, std::uint8_t* column, std::int64_t time_us);

/// Exact unless a run that one side no longer keeps may have touched one of the other's; then the
/// count is an estimate, and is marked as one (README.md, "Decisions").
void merge_session(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from);

}  // namespace deja::features
