// distinct: one more item, and two columns into one. Layout, and why the order of events does not
// matter: shm/columns/distinct_column.h. On a private copy; one thread per copy; no allocation.
#pragma once

#include <cstdint>

#include "shm/columns/pane_ring.h"
#include "shm/feature_spec.h"
#include "shm/value.h"
#include "workers/features/pane_advance.h"

namespace deja::features {

/// Skips null and absent values. Items are compared whole, not cut.
Applied apply_distinct(const FeatureSpec& spec, std::uint8_t* column, const columns::PanePlace& at,
                       const Value& value);

void merge_distinct(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from);

}  // namespace deja::features
