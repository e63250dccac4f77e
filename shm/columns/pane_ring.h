// A window as a ring of panes: which panes a column keeps and which of them count at an instant.
// Private copies only; libc alone; any thread.
//
//   with a window:    [ newest pane, encoded (8) ][ cell of slot 0 ][ cell of slot 1 ] …
//   without a window: [ the only cell ]
//
// 1. Pane p lies in slot p mod panes. Kept are the panes in (newest - panes, newest].
// 2. A kept pane without events has a zero cell: whoever moves `newest` zeroes the cells entered.
// 3. At instant T count the kept panes in [pane(T) - panes + 1, pane(T)]. With 1 and 2 the value is
//    a function of the set of events: an event older than the kept panes could not count now nor
//    later than now.
#pragma once

#include <cstdint>

#include "shm/columns/bytes.h"
#include "shm/feature_spec.h"

namespace deja::columns {

inline constexpr std::uint32_t kPanesMax = 64;

/// The panes from first to last; none when first > last.
struct PaneRange {
  std::int64_t first = 0;
  std::int64_t last = -1;

  [[nodiscard]] bool empty() const { return first > last; }
};

/// Bytes before the first cell.
inline constexpr std::uint32_t kPaneHeaderBytes = 8;
[[nodiscard]] inline std::uint32_t pane_header_bytes(const FeatureSpec& spec) {
  return spec.window_us == 0 ? 0 : kPaneHeaderBytes;
}

/// The pane that an instant lies in; 0 without a window.
[[nodiscard]] inline std::int64_t pane_of(const FeatureSpec& spec, std::int64_t time_us) {
  return spec.window_us == 0 ? 0 : floor_div(clamp_instant(time_us), spec.pane_us());
}

[[nodiscard]] inline std::uint32_t pane_slot(const FeatureSpec& spec, std::int64_t pane) {
  return static_cast<std::uint32_t>(floor_mod(pane, static_cast<std::int64_t>(spec.panes)));
}

/// A pane and where it lies.
struct PanePlace {
  std::int64_t pane = 0;
  std::uint32_t slot = 0;
};

[[nodiscard]] inline PanePlace pane_place(const FeatureSpec& spec, std::int64_t time_us) {
  const std::int64_t pane = pane_of(spec, time_us);
  return {pane, pane_slot(spec, pane)};
}

/// The panes that the column keeps; none before the first event.
[[nodiscard]] inline PaneRange panes_kept(const FeatureSpec& spec, const std::uint8_t* column) {
  if (spec.window_us == 0) return {0, 0};
  const auto stored = load<std::uint64_t>(column);
  if (stored == 0) return {};
  const std::int64_t newest = decode_instant(stored);
  return {newest - static_cast<std::int64_t>(spec.panes) + 1, newest};
}

/// Whether the column's newest pane is this one, of pane_of(). With a window only.
[[nodiscard]] inline bool is_newest_pane(const std::uint8_t* column, std::int64_t pane) {
  return load<std::uint64_t>(column) == encode_within_limit(pane);
}

/// The kept panes that count at an instant.
[[nodiscard]] inline PaneRange panes_at(const FeatureSpec& spec, const std::uint8_t* column,
                                        std::int64_t at_us) {
  PaneRange range = panes_kept(spec, column);
  if (spec.window_us == 0 || range.empty()) return range;
  const std::int64_t pane = pane_of(spec, at_us);
  const std::int64_t first = pane - static_cast<std::int64_t>(spec.panes) + 1;
  if (first > range.first) range.first = first;
  if (pane < range.last) range.last = pane;
  return range;
}

/// A pane named by its distance from the newest, so that 0 is "none": 1 is the newest, `panes` the
/// oldest kept. For a mark that loses its meaning when its pane is no longer kept.
[[nodiscard]] inline std::uint8_t encode_age(std::int64_t newest, std::int64_t pane) {
  return static_cast<std::uint8_t>(newest - pane + 1);
}

/// True when the pane marked by `age` is one of `range` or newer.
[[nodiscard]] inline bool age_reaches(const PaneRange& range, std::int64_t newest,
                                      std::uint8_t age) {
  return age != 0 && !range.empty() && newest - age + 1 >= range.first;
}

}  // namespace deja::columns
