// The columns of count, sum, min, max and mean, and what they say at an instant. Private copies
// only; libc alone; any thread.
//
//   count  with a window  [ newest pane (8) ][ u32 × panes, saturating ]
//          without        [ u64 ]
//   sum                   [ newest pane? ][ f64 × panes ]
//   min, max              [ newest pane? ][ encoded number × panes ]          0: no value yet
//   mean                  [ newest pane? ][ f64 sum × panes ][ u32 count × panes, saturating ]
#pragma once

#include <cstdint>

#include "shm/columns/bytes.h"
#include "shm/columns/pane_ring.h"
#include "shm/feature_spec.h"

namespace deja::columns {

[[nodiscard]] inline std::uint32_t number_column_bytes(const FeatureSpec& spec) {
  const std::uint32_t header = pane_header_bytes(spec);
  if (spec.type == FeatureType::kCount) {
    return spec.window_us == 0 ? 8 : round_up_8(header + 4 * spec.panes);
  }
  if (spec.type == FeatureType::kMean) return round_up_8(header + 12 * spec.panes);
  return header + 8 * spec.panes;
}

/// Offset of the 8-byte cell of a slot: sum, min, max, the sum of mean.
[[nodiscard]] inline std::uint32_t wide_cell(const FeatureSpec& spec, std::uint32_t slot) {
  return pane_header_bytes(spec) + 8 * slot;
}

/// Offset of the 4-byte cell of a slot: count with a window.
[[nodiscard]] inline std::uint32_t count_cell(const FeatureSpec& spec, std::uint32_t slot) {
  return pane_header_bytes(spec) + 4 * slot;
}

/// Offset of the 4-byte count of a slot of mean; and where it is without a window.
inline constexpr std::uint32_t kTotalMeanCountOffset = 8;
[[nodiscard]] inline std::uint32_t mean_count_cell(const FeatureSpec& spec, std::uint32_t slot) {
  return pane_header_bytes(spec) + 8 * spec.panes + 4 * slot;
}

[[nodiscard]] inline std::uint64_t count_at(const FeatureSpec& spec, const std::uint8_t* column,
                                            std::int64_t at_us) {
  if (spec.window_us == 0) return load<std::uint64_t>(column);
  const PaneRange range = panes_at(spec, column, at_us);
  std::uint64_t total = 0;
  for (std::int64_t pane = range.first; pane <= range.last; ++pane) {
    total += load<std::uint32_t>(column + count_cell(spec, pane_slot(spec, pane)));
  }
  return total;
}

struct SumAndCount {
  double sum = 0;
  std::uint64_t count = 0;  ///< mean only
};

[[nodiscard]] inline SumAndCount sum_at(const FeatureSpec& spec, const std::uint8_t* column,
                                        std::int64_t at_us) {
  const PaneRange range = panes_at(spec, column, at_us);
  SumAndCount total;
  for (std::int64_t pane = range.first; pane <= range.last; ++pane) {
    const std::uint32_t slot = pane_slot(spec, pane);
    total.sum = finite(total.sum + finite(load<double>(column + wide_cell(spec, slot))));
    if (spec.type == FeatureType::kMean) {
      total.count += load<std::uint32_t>(column + mean_count_cell(spec, slot));
    }
  }
  return total;
}

/// The encoded smallest (min) or largest (max) number; 0: there is none.
[[nodiscard]] inline std::uint64_t extreme_at(const FeatureSpec& spec, const std::uint8_t* column,
                                              std::int64_t at_us) {
  const PaneRange range = panes_at(spec, column, at_us);
  std::uint64_t extreme = 0;
  for (std::int64_t pane = range.first; pane <= range.last; ++pane) {
    const auto cell = load<std::uint64_t>(column + wide_cell(spec, pane_slot(spec, pane)));
    if (cell == 0) continue;
    const bool better =
        extreme == 0 || (spec.type == FeatureType::kMin ? cell < extreme : cell > extreme);
    if (better) extreme = cell;
  }
  return extreme;
}

}  // namespace deja::columns
