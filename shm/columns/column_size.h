// How many bytes a feature's column takes, and which features there can be. The config's compiler
// lays out a frame with this; whoever reads a catalog checks it with this before touching a frame.
// Libc alone; any thread.
#pragma once

#include <cstdint>

#include "shm/columns/distinct_column.h"
#include "shm/columns/number_column.h"
#include "shm/columns/recent_column.h"
#include "shm/columns/session_column.h"
#include "shm/columns/top_column.h"
#include "shm/columns/value_column.h"
#include "shm/feature_spec.h"

namespace deja {

inline constexpr std::uint32_t kKeepMax = 1024;
inline constexpr std::uint32_t kTrackMax = 4096;

/// Changes whenever the bytes of any column change their meaning; part of a feature's definition.
inline constexpr std::uint32_t kColumnLayoutVersion = 1;

/// Null when such a feature can be kept, else why not ("panes must be 1 to 64"). Offset and bytes
/// are not looked at.
[[nodiscard]] inline const char* spec_fault(const FeatureSpec& spec) {
  using columns::kDurationMaxUs;
  if (spec.type > FeatureType::kTrait) return "unknown feature type";
  if (spec.panes < 1 || spec.panes > columns::kPanesMax) return "panes must be 1 to 64";
  if (spec.window_us < 0 || spec.window_us > kDurationMaxUs) return "window is out of range";
  if (spec.window_us == 0 && spec.panes != 1) return "panes need a window";
  if (spec.tumbling && spec.panes != 1) return "a tumbling window is one pane";
  if (spec.window_us != 0 && spec.pane_us() == 0) return "window is shorter than its panes";
  switch (spec.type) {
    case FeatureType::kCount:
    case FeatureType::kSum:
    case FeatureType::kMin:
    case FeatureType::kMax:
    case FeatureType::kMean:
    case FeatureType::kDistinct:
      return nullptr;
    case FeatureType::kTop:
      if (spec.track < spec.keep || spec.track > kTrackMax) return "track must be keep to 4096";
      if (spec.half_life_us < 0 || spec.half_life_us > kDurationMaxUs) {
        return "half_life is out of range";
      }
      if (spec.half_life_us != 0 && spec.window_us != 0) {
        return "half_life and window exclude each other";
      }
      break;
    default:
      if (spec.window_us != 0) return "this type has no window";
      break;
  }
  if (spec.type == FeatureType::kSession) {
    return spec.gap_us < 1 || spec.gap_us > kDurationMaxUs ? "gap is out of range" : nullptr;
  }
  if (spec.text_bytes < 1 || spec.text_bytes > columns::kTextBytesMax) {
    return "bytes must be 1 to 254";
  }
  const bool list = spec.type == FeatureType::kTop || spec.type == FeatureType::kRecent;
  if (list && (spec.keep < 1 || spec.keep > kKeepMax)) return "keep must be 1 to 1024";
  return nullptr;
}

/// Bytes of the column of a feature without a fault: a multiple of 8.
[[nodiscard]] inline std::uint32_t column_bytes(const FeatureSpec& spec) {
  switch (spec.type) {
    case FeatureType::kCount:
    case FeatureType::kSum:
    case FeatureType::kMin:
    case FeatureType::kMax:
    case FeatureType::kMean:
      return columns::number_column_bytes(spec);
    case FeatureType::kFirst:
    case FeatureType::kLast:
    case FeatureType::kTrait:
      return columns::value_column_bytes(spec);
    case FeatureType::kRecent:
      return columns::recent_column_bytes(spec);
    case FeatureType::kTop:
      return columns::top_column_bytes(spec);
    case FeatureType::kDistinct:
      return columns::distinct_column_bytes(spec);
    case FeatureType::kSession:
      return static_cast<std::uint32_t>(sizeof(columns::SessionColumnLayout));
  }
  return 0;
}

/// True when the feature has no fault and its column, as placed, lies inside the frame: then any
/// bytes at all may be finished, applied to and merged without leaving it.
[[nodiscard]] inline bool column_fits(const FeatureSpec& spec, std::uint32_t frame_bytes) {
  return spec_fault(spec) == nullptr && spec.offset % 8 == 0 && spec.bytes == column_bytes(spec) &&
         spec.offset <= frame_bytes && spec.bytes <= frame_bytes - spec.offset;
}

}  // namespace deja
