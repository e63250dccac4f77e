// One more number into the cells of count, sum, min, max and mean (shm/columns/number_column.h). On
// a private copy; one thread per copy; no allocation.
#pragma once

#include <cstdint>
#include <limits>

#include "shm/columns/bytes.h"
#include "shm/columns/number_column.h"
#include "shm/feature_spec.h"

namespace deja::features {

/// A pane's count.
inline void add_count(std::uint8_t* cell, std::uint32_t count) {
  const auto kept = columns::load<std::uint32_t>(cell);
  const std::uint32_t room = std::numeric_limits<std::uint32_t>::max() - kept;
  columns::store(cell, kept + (count < room ? count : room));
}

/// The count of all time.
inline void count_one(std::uint8_t* cell) {
  const auto count = columns::load<std::uint64_t>(cell);
  columns::store(cell, count + (count < std::numeric_limits<std::uint64_t>::max() ? 1 : 0));
}

/// Adds within the finite numbers: values whose sum no double can hold stop at the largest.
inline void add_sum(std::uint8_t* cell, double number) {
  columns::store(cell, columns::finite(columns::finite(columns::load<double>(cell)) + number));
}

inline void take_extreme(bool smallest, std::uint8_t* cell, std::uint64_t encoded) {
  const auto kept = columns::load<std::uint64_t>(cell);
  if (encoded == 0) return;
  const bool better = smallest ? encoded < kept : encoded > kept;
  if (kept == 0 || better) columns::store(cell, encoded);
}

/// A finite number into its wide cell and, for a mean, its count's.
inline void take_number(FeatureType type, std::uint8_t* cell, std::uint8_t* count_cell,
                        double number) {
  if (type == FeatureType::kMin || type == FeatureType::kMax) {
    take_extreme(type == FeatureType::kMin, cell, columns::encode_number(number));
    return;
  }
  add_sum(cell, number);
  if (type == FeatureType::kMean) add_count(count_cell, 1);
}

}  // namespace deja::features
