// recent: one more item, and two columns into one. Layout: shm/columns/recent_column.h. On a
// private copy; one thread per copy; no allocation.
//
// The list is the first `keep` of all items in the order (newest event first, then bytes). An item
// only ever moves forward in it, so one that fell off could come back only by a newer event: the
// list needs nothing of what fell off, whatever order events come in, and merging is exact.
#pragma once

#include <cstdint>

#include "shm/feature_spec.h"
#include "shm/value.h"
#include "workers/features/pane_advance.h"

namespace deja::features {

/// Skips null and absent values. `time` is encoded (columns::encode_instant).
Applied apply_recent(const FeatureSpec& spec, std::uint8_t* column, std::uint64_t time,
                     const Value& value);

void merge_recent(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from);

}  // namespace deja::features
