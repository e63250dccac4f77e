// The column of top: tracked keys and their weights. Private copies only; libc alone; any thread.
//
//   without a window [ landmark, encoded (8) ][ error f64 ][ weight f64 × track ]
//   with a window    [ newest pane, encoded (8) ][ age of the newest loss (1) + 7 ]
//                                                          [ weight f64 × track × panes ]
//   both, then       [ 1 + length, 0: free (1) × track ][ text (text_bytes) × track ] padding to 8
//
// 1. With a half-life h, a weight is kept relative to the landmark k, a whole number of half-lives
//    not after the newest event's (floor(t/h)): Σ w·2^((t - k·h)/h). When k grows, every weight is
//    scaled by a power of two, which is exact, so nothing builds up.
// 2. `error` (same unit) bounds what any key's weight may be off, and what a key that is not
//    tracked may weigh: 0 until a key was replaced.
// 3. With a window, the weights of a replaced key go on under the new one, pane by pane; "newest
//    loss" is the newest pane in which a replaced key had a weight. Windows behind it are exact.
// 4. A free place has zero weights. No key is there twice.
#pragma once

#include <cstdint>

#include "shm/columns/bytes.h"
#include "shm/columns/pane_ring.h"
#include "shm/columns/power.h"
#include "shm/feature_spec.h"

namespace deja::columns {

inline constexpr std::uint32_t kTopLandmarkOffset = 0;
inline constexpr std::uint32_t kTopErrorOffset = 8;
inline constexpr std::uint32_t kTopLossAgeOffset = 8;
inline constexpr std::uint32_t kTopHeaderBytes = 16;

[[nodiscard]] inline std::uint32_t top_weights(const FeatureSpec& spec) {
  return spec.track * (spec.window_us == 0 ? 1 : spec.panes);
}

[[nodiscard]] inline std::uint32_t top_column_bytes(const FeatureSpec& spec) {
  return round_up_8(kTopHeaderBytes + 8 * top_weights(spec) + spec.track * (1 + spec.text_bytes));
}

/// Offset of a key's weight; `slot` is 0 without a window.
[[nodiscard]] inline std::uint32_t top_weight_offset(const FeatureSpec& spec, std::uint32_t place,
                                                     std::uint32_t slot) {
  return kTopHeaderBytes + 8 * (spec.window_us == 0 ? place : place * spec.panes + slot);
}

[[nodiscard]] inline std::uint32_t top_length_offset(const FeatureSpec& spec, std::uint32_t place) {
  return kTopHeaderBytes + 8 * top_weights(spec) + place;
}

[[nodiscard]] inline std::uint32_t top_text_offset(const FeatureSpec& spec, std::uint32_t place) {
  return kTopHeaderBytes + 8 * top_weights(spec) + spec.track + spec.text_bytes * place;
}

struct TopKey {
  bool used = false;
  const char* text = nullptr;
  std::uint32_t bytes = 0;
};

[[nodiscard]] inline TopKey top_key(const FeatureSpec& spec, const std::uint8_t* column,
                                    std::uint32_t place) {
  const std::uint32_t mark = column[top_length_offset(spec, place)];
  if (mark == 0) return {};
  return {true, reinterpret_cast<const char*>(column + top_text_offset(spec, place)),
          mark - 1 < spec.text_bytes ? mark - 1 : spec.text_bytes};
}

/// What a weight relative to the landmark must be multiplied with to be the weight at an instant:
/// factor · 2^exponent, in two parts because 2^exponent alone may be out of a double's range.
struct Decay {
  double factor = 1;
  std::int64_t exponent = 0;

  [[nodiscard]] double of(double weight) const { return finite(scale(weight * factor, exponent)); }
};

/// An instant in half-lives: how many whole ones, and what is left.
struct HalfLives {
  std::int64_t whole = 0;
  std::int64_t rest_us = 0;

  /// What the rest is of a half-life: 0 <= fraction < 1, or 1 by rounding.
  [[nodiscard]] double fraction(const FeatureSpec& spec) const {
    return static_cast<double>(rest_us) / static_cast<double>(spec.half_life_us);
  }
};

[[nodiscard]] inline HalfLives half_lives_at(const FeatureSpec& spec, std::int64_t time_us) {
  const std::int64_t time = clamp_instant(time_us);
  return {floor_div(time, spec.half_life_us), floor_mod(time, spec.half_life_us)};
}

[[nodiscard]] inline Decay decay_at(const FeatureSpec& spec, const std::uint8_t* column,
                                    std::int64_t at_us) {
  if (spec.half_life_us == 0) return {};
  const auto stored = load<std::uint64_t>(column + kTopLandmarkOffset);
  if (stored == 0) return {};
  const HalfLives at = half_lives_at(spec, at_us);
  return {1 / exp2_fraction(at.fraction(spec)), decode_instant(stored) - at.whole};
}

/// A weight in steps of 1e-9: weights of the same step are tied. A whole number.
[[nodiscard]] inline double quantised(double weight) {
  const double steps = weight * 1e9;
  constexpr double kWhole = 4503599627370496.0;  // 2^52: from here on all doubles are whole
  return steps < kWhole ? static_cast<double>(static_cast<std::int64_t>(steps + 0.5)) : steps;
}

/// A key's weight at an instant; `range` and `decay` are those of the column at that instant.
[[nodiscard]] inline double top_weight_at(const FeatureSpec& spec, const std::uint8_t* column,
                                          std::uint32_t place, const PaneRange& range,
                                          const Decay& decay) {
  if (spec.window_us == 0) {
    const double weight = finite(load<double>(column + top_weight_offset(spec, place, 0)));
    return decay.of(weight < 0 ? 0 : weight);
  }
  double weight = 0;
  for (std::int64_t pane = range.first; pane <= range.last; ++pane) {
    const double cell =
        finite(load<double>(column + top_weight_offset(spec, place, pane_slot(spec, pane))));
    weight = finite(weight + (cell < 0 ? 0 : cell));
  }
  return weight;
}

/// Whether what top shows at an instant is an estimate. Without a window it is one for as long as
/// what was lost could still be seen: by its weight, or in place of a key shown.
[[nodiscard]] inline bool top_is_estimate(const FeatureSpec& spec, const std::uint8_t* column,
                                          std::int64_t at_us) {
  const PaneRange range = panes_at(spec, column, at_us);
  if (spec.window_us != 0) {
    return age_reaches(range, panes_kept(spec, column).last, column[kTopLossAgeOffset]);
  }
  const double error = load<double>(column + kTopErrorOffset);
  if (!(error > 0)) return false;
  const Decay decay = decay_at(spec, column, at_us);
  const double error_at = quantised(decay.of(error));
  if (error_at > 0) return true;
  std::uint32_t certain = 0;
  for (std::uint32_t place = 0; place < spec.track; ++place) {
    if (!top_key(spec, column, place).used) continue;
    if (quantised(top_weight_at(spec, column, place, range, decay)) > error_at) ++certain;
  }
  return certain < spec.keep;
}

}  // namespace deja::columns
