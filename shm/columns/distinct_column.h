// The column of distinct: the newest items exactly, and all of them roughly. Private copies only;
// libc alone; any thread.
//
//   [ newest pane? (8) ][ age of the newest loss (1) + 7 ][ item hash (8) × 32 ]
//   [ panes seen in (1, 2, 4 or 8 bytes, bit = slot) × 32 ][ HyperLogLog (64) × panes ]
//
// 1. The list holds the 32 items that are newest by (newest pane, hash); a place without a pane is
//    free. Since an item only gets newer, the list is that of the set of events in any order.
// 2. "newest loss" is the newest pane of any item (or sighting) that did not fit into the list: at
//    an instant whose window begins after it, the list is complete, and the answer exact.
// 3. The HyperLogLogs have everything, list or not.
#pragma once

#include <bit>
#include <cstdint>

#include "shm/columns/bytes.h"
#include "shm/columns/hyperloglog.h"
#include "shm/columns/pane_ring.h"
#include "shm/feature_spec.h"

namespace deja::columns {

inline constexpr std::uint32_t kDistinctListed = 32;

/// Bytes of one item's set of panes.
[[nodiscard]] inline std::uint32_t pane_set_bytes(const FeatureSpec& spec) {
  return spec.panes <= 8 ? 1 : (spec.panes <= 16 ? 2 : (spec.panes <= 32 ? 4 : 8));
}

[[nodiscard]] inline std::uint32_t distinct_loss_offset(const FeatureSpec& spec) {
  return pane_header_bytes(spec);
}

[[nodiscard]] inline std::uint32_t distinct_hash_offset(const FeatureSpec& spec,
                                                        std::uint32_t place) {
  return pane_header_bytes(spec) + 8 + 8 * place;
}

[[nodiscard]] inline std::uint32_t distinct_set_offset(const FeatureSpec& spec,
                                                       std::uint32_t place) {
  return distinct_hash_offset(spec, kDistinctListed) + pane_set_bytes(spec) * place;
}

[[nodiscard]] inline std::uint32_t distinct_registers_offset(const FeatureSpec& spec,
                                                             std::uint32_t slot) {
  return distinct_set_offset(spec, kDistinctListed) + kRegisterBytes * slot;
}

[[nodiscard]] inline std::uint32_t distinct_column_bytes(const FeatureSpec& spec) {
  return distinct_registers_offset(spec, spec.panes);
}

/// The slots in which the item of a place was seen, one bit each.
[[nodiscard]] inline std::uint64_t pane_set(const FeatureSpec& spec, const std::uint8_t* column,
                                            std::uint32_t place) {
  std::uint64_t slots = 0;
  std::memcpy(&slots, column + distinct_set_offset(spec, place), pane_set_bytes(spec));
  return spec.panes == 64 ? slots : slots & ((std::uint64_t{1} << spec.panes) - 1);
}

/// The slots of a range of at most `panes` panes.
[[nodiscard]] inline std::uint64_t slots_of(const FeatureSpec& spec, const PaneRange& range) {
  std::uint64_t slots = 0;
  for (std::int64_t pane = range.first; pane <= range.last; ++pane) {
    slots |= std::uint64_t{1} << pane_slot(spec, pane);
  }
  return slots;
}

[[nodiscard]] inline bool distinct_is_estimate(const FeatureSpec& spec, const std::uint8_t* column,
                                               std::int64_t at_us) {
  return age_reaches(panes_at(spec, column, at_us), panes_kept(spec, column).last,
                     column[distinct_loss_offset(spec)]);
}

/// How many different items there were; a whole number.
[[nodiscard]] inline double distinct_at(const FeatureSpec& spec, const std::uint8_t* column,
                                        std::int64_t at_us) {
  const PaneRange range = panes_at(spec, column, at_us);
  const std::uint64_t wanted = slots_of(spec, range);
  std::uint32_t listed = 0;
  for (std::uint32_t place = 0; place < kDistinctListed; ++place) {
    if ((pane_set(spec, column, place) & wanted) != 0) ++listed;
  }
  if (!distinct_is_estimate(spec, column, at_us)) return listed;
  std::uint8_t registers[kRegisterBytes] = {};
  for (std::int64_t pane = range.first; pane <= range.last; ++pane) {
    merge_registers(registers, column + distinct_registers_offset(spec, pane_slot(spec, pane)));
  }
  const double estimate =
      static_cast<double>(static_cast<std::int64_t>(estimate_count(registers) + 0.5));
  return estimate < listed ? listed : estimate;
}

}  // namespace deja::columns
