// What a reader of a frame must know of one feature: its column's place and meaning. Plain data
// without pointers, so that libdeja can hold it too. Filled from the catalog (catalog.capnp says
// what each field means); immutable afterwards, hence readable by any thread.
#pragma once

#include <cstdint>

namespace deja {

/// The same numbers as schema::FeatureType in catalog.capnp.
enum class FeatureType : std::uint8_t {
  kCount = 0,
  kSum = 1,
  kMin = 2,
  kMax = 3,
  kMean = 4,
  kFirst = 5,
  kLast = 6,
  kRecent = 7,
  kTop = 8,
  kDistinct = 9,
  kSession = 10,
  kTrait = 11,
};

struct FeatureSpec {
  FeatureType type = FeatureType::kCount;
  bool tumbling = false;
  std::uint32_t offset = 0;       ///< of the column in the frame, bytes, a multiple of 8
  std::uint32_t bytes = 0;        ///< of the column, a multiple of 8
  std::int64_t window_us = 0;     ///< 0: all time
  std::uint32_t panes = 1;        ///< 1 when tumbling or without a window; at most 64
  std::uint32_t keep = 0;         ///< recent, top
  std::uint32_t track = 0;        ///< top
  std::uint32_t text_bytes = 0;   ///< first, last, recent, top, trait
  std::int64_t half_life_us = 0;  ///< top; 0: none
  std::int64_t gap_us = 0;        ///< session

  /// Length of one pane; 0 without a window.
  [[nodiscard]] std::int64_t pane_us() const {
    return window_us == 0 ? 0 : window_us / static_cast<std::int64_t>(panes);
  }
};

}  // namespace deja
