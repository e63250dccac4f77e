// count, sum, min, max and mean: one more event or number, and two columns into one. Layout:
// shm/columns/number_column.h. On a private copy; one thread per copy; no allocation.
#pragma once

#include <cstdint>

#include "shm/feature_spec.h"
#include "shm/value.h"
#include "workers/features/number_cells.h"
#include "workers/features/pane_advance.h"

namespace deja::features {

/// count: the value is not looked at.
Applied apply_count(const FeatureSpec& spec, std::uint8_t* column, std::int64_t time_us);

/// sum, min, max, mean: skips what is not a number.
Applied apply_number(const FeatureSpec& spec, std::uint8_t* column, std::int64_t time_us,
                     const Value& value);

/// count, sum, min, max and mean over all time: one cell, and no pane to look for. Inline, since
/// most features of most events are of these.
[[nodiscard]] inline bool is_total(const FeatureSpec& spec) {
  return spec.type <= FeatureType::kMean && spec.window_us == 0;
}
inline Applied apply_total(const FeatureSpec& spec, std::uint8_t* column, const Value* value) {
  if (spec.type == FeatureType::kCount) {
    count_one(column);
    return Applied::kTaken;
  }
  if (value->kind != ValueKind::kNumber) return Applied::kSkipped;
  take_number(spec, column, column + columns::mean_count_cell(spec, 0),
              columns::finite(value->number));
  return Applied::kTaken;
}

/// All five.
void merge_number(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from);

}  // namespace deja::features
