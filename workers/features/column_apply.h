// One value into a feature's column, whatever its type; and two columns into one. Both are pure
// functions of bytes and arguments: no clock, no random. On private copies of columns that
// column_fits() (then any bytes are safe); one thread per copy; no allocation.
#pragma once

#include <cstdint>

#include "shm/feature_spec.h"
#include "shm/value.h"
#include "workers/features/pane_advance.h"

namespace deja::features {

/// What an event brings to a feature.
struct Contribution {
  std::int64_t time_us = 0;
  const Value* value = nullptr;  ///< count and session don't look at it
  double weight = 1;             ///< top only; > 0
};

Applied apply_column(const FeatureSpec& spec, std::uint8_t* column,
                     const Contribution& contribution);

/// `into` becomes what it would be had it seen `from`'s events as well.
void merge_column(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from);

}  // namespace deja::features
