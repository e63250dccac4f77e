// top: one more weight for a key, and two columns into one. Layout: shm/columns/top_column.h. On a
// private copy; one thread per copy; no allocation.
//
// Up to `track` keys everything is exact. Beyond, space-saving (Metwally, Agrawal, El Abbadi,
// "Efficient computation of frequent and top-k elements in data streams", 2005): a new key takes
// the place and the weight of the lightest. Merging adds up by key and then keeps the heaviest.
#pragma once

#include <cstdint>

#include "shm/feature_spec.h"
#include "shm/value.h"
#include "workers/features/pane_advance.h"

namespace deja::features {

/// Skips null and absent values. `weight` > 0. Keys are cut to text_bytes.
Applied apply_top(const FeatureSpec& spec, std::uint8_t* column, std::int64_t time_us,
                  const Value& value, double weight);

void merge_top(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from);

}  // namespace deja::features
