// first, last and trait: one more value, and two columns into one. Layout:
// shm/columns/value_column.h. On a private copy; one thread per copy; no allocation.
//
// All three keep the best of a total order of (time, value), which is why neither the order of
// events nor a merge matters: first the smallest, last and trait the largest.
#pragma once

#include <cstdint>

#include "shm/feature_spec.h"
#include "shm/value.h"
#include "workers/features/pane_advance.h"

namespace deja::features {

/// Skips an absent value, and for first and last a null. Text is cut to text_bytes before it is
/// compared.
Applied apply_value(const FeatureSpec& spec, std::uint8_t* column, std::int64_t time_us,
                    const Value& value);

void merge_value(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from);

}  // namespace deja::features
