// top: one more weight for a key, and two columns into one. Layout: shm/columns/top_column.h. On a
// private copy; one thread per copy; no allocation.
//
// Up to `track` keys everything is exact. Beyond, space-saving (Metwally, Agrawal, El Abbadi,
// "Efficient computation of frequent and top-k elements in data streams", 2005): a new key takes
// the place and the weight of the lightest. Merging adds up by key and then keeps the heaviest.
#pragma once

#include <cstdint>

#include "shm/columns/top_column.h"
#include "shm/feature_spec.h"
#include "shm/value.h"
#include "workers/features/pane_advance.h"

namespace deja::features {

/// Without a half-life. Skips null and absent values. `weight` > 0. Keys are cut to text_bytes.
Applied apply_top(const FeatureSpec& spec, std::uint8_t* column, const columns::PanePlace& at,
                  const Value& value, double weight);

/// With one.
Applied apply_decaying_top(const FeatureSpec& spec, std::uint8_t* column,
                           const columns::HalfLives& at, const Value& value, double weight);

void merge_top(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from);

}  // namespace deja::features
