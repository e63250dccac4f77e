// count, sum, min, max and mean: one more event or number, and two columns into one. Layout:
// shm/columns/number_column.h. On a private copy; one thread per copy; no allocation.
#pragma once

#include <cstdint>

#include "shm/columns/pane_ring.h"
#include "shm/feature_spec.h"
#include "shm/value.h"
#include "workers/features/number_cells.h"
#include "workers/features/pane_advance.h"

namespace deja::features {

/// count: the value is not looked at.
Applied apply_count(const FeatureSpec& spec, std::uint8_t* column, const columns::PanePlace& at);

/// sum, min, max, mean: skips what is not a number.
Applied apply_number(const FeatureSpec& spec, std::uint8_t* column, const columns::PanePlace& at,
                     const Value& value);

/// All five.
void merge_number(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from);

}  // namespace deja::features
