// How far behind each ring and each log is: as records, as bytes, and as the age of the oldest
// record that waits in it. Read from shared memory that others go on writing: every position and
// record is checked, and an odd one reads as no age. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shm/segment.h"

namespace deja {

/// Records that are counted one by one: whoever looks each second must not read whole rings.
inline constexpr std::uint64_t kCountedRecordsMax = 16'384;

struct Lag {
  std::string name;                   ///< "ring-0-1", "log-0"
  std::uint64_t waiting_records = 0;  ///< beyond kCountedRecordsMax estimated from their bytes
  std::uint64_t waiting_bytes = 0;
  std::uint64_t capacity_bytes = 0;
  std::int64_t oldest_age_us = 0;  ///< 0 when nothing waits, or it can't be told
  [[nodiscard]] double fill() const {
    return capacity_bytes == 0
               ? 0
               : static_cast<double>(waiting_bytes) / static_cast<double>(capacity_bytes);
  }
};

/// ring-<i>-<w>: not consumed by its worker yet.
[[nodiscard]] std::vector<Lag> ring_lags(const Segment& segment, std::int64_t now_us);
/// log-<w>: not taken by the keeper yet.
[[nodiscard]] std::vector<Lag> log_lags(const Segment& segment, std::int64_t now_us);

}  // namespace deja
