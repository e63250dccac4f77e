// The column of recent: the newest different items. Private copies only; libc alone; any thread.
//
//   [ time, encoded (8) × keep ][ length (1) × keep ][ text (text_bytes) × keep ] padding to 8
//
// 1. Places are filled from 0 and sorted: newest first, at equal times by the item's bytes.
// 2. No item is there twice. A place with time 0 is free, and so are all after it.
#pragma once

#include <cstdint>

#include "shm/columns/bytes.h"
#include "shm/feature_spec.h"

namespace deja::columns {

struct RecentPlace {
  std::uint64_t time = 0;  ///< encoded; 0: free
  const char* text = nullptr;
  std::uint32_t bytes = 0;
};

[[nodiscard]] inline std::uint32_t recent_column_bytes(const FeatureSpec& spec) {
  return round_up_8(spec.keep * (8 + 1 + spec.text_bytes));
}

[[nodiscard]] inline std::uint32_t recent_time_offset(std::uint32_t place) {
  return 8 * place;
}

[[nodiscard]] inline std::uint32_t recent_length_offset(const FeatureSpec& spec,
                                                        std::uint32_t place) {
  return 8 * spec.keep + place;
}

[[nodiscard]] inline std::uint32_t recent_text_offset(const FeatureSpec& spec,
                                                      std::uint32_t place) {
  return 9 * spec.keep + spec.text_bytes * place;
}

[[nodiscard]] inline RecentPlace recent_place(const FeatureSpec& spec, const std::uint8_t* column,
                                              std::uint32_t place) {
  const std::uint32_t length = column[recent_length_offset(spec, place)];
  return {load<std::uint64_t>(column + recent_time_offset(place)),
          reinterpret_cast<const char*>(column + recent_text_offset(spec, place)),
          length < spec.text_bytes ? length : spec.text_bytes};
}

}  // namespace deja::columns
