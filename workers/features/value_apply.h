// first, last and trait: one more value, and two columns into one. Layout:
// shm/columns/value_column.h. On a private copy; one thread per copy; no allocation.
//
// All three keep the best of a total order of (time, value), which is why neither the order of
// events nor a merge matters: first the smallest, last and trait the largest.
#pragma once

#include <cstdint>

#include "shm/columns/value_column.h"
#include "shm/feature_spec.h"
#include "shm/value.h"
#include "workers/features/pane_advance.h"

namespace deja::features {

/// Whether no value of that time can come into the column, whatever it is: most events say nothing
/// new to a first. `time` is encoded (columns::encode_instant), as everywhere here.
[[nodiscard]] inline bool decided_by_time(bool first, const std::uint8_t* column,
                                          std::uint64_t time) {
  const auto kept = columns::load<std::uint64_t>(column + columns::kValueTimeOffset);
  return first ? kept != 0 && time > kept : time < kept;
}

/// The better of what is there and `value`, which is not absent.
void keep_better(const FeatureSpec& spec, std::uint8_t* column, std::uint64_t time,
                 const Value& value);

/// Skips an absent value, and for first and last a null. Text is cut to text_bytes before it is
/// compared.
inline Applied apply_value(const FeatureSpec& spec, std::uint8_t* column, std::uint64_t time,
                           const Value& value) {
  if (value.absent()) return Applied::kSkipped;
  if (value.kind == ValueKind::kNull && spec.type != FeatureType::kTrait) return Applied::kSkipped;
  keep_better(spec, column, time, value);
  return Applied::kTaken;
}

void merge_value(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from);

}  // namespace deja::features
