// What memory a config will take, to the byte and before any of it is taken. Start-up and tools;
// any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shm/segment.h"
#include "shm/table_geometry.h"
#include "tools/config/config.h"

namespace deja {

struct MemoryPlan {
  struct Column {
    std::string feature;
    std::string type;
    std::uint32_t bytes = 0;
  };
  /// Files of one kind, all of them together.
  struct Files {
    std::string what;
    std::uint64_t bytes = 0;
  };

  std::vector<Column> columns;
  TableGeometry geometry;
  std::uint64_t profiles = 0;
  std::uint64_t table_bytes = 0;  ///< index, links and blocks of all shards
  std::vector<Files> others;      ///< id sets, rings, logs, ...
  std::uint64_t whole_bytes = 0;

  /// One profile: frame, key and block header.
  [[nodiscard]] std::uint32_t profile_bytes() const { return geometry.block_bytes(); }
  /// What the table takes beyond its profiles, in percent of them.
  [[nodiscard]] double overhead_percent() const { return beyond_percent(table_bytes); }
  /// What everything takes beyond the profiles, in percent of them.
  [[nodiscard]] double whole_overhead_percent() const { return beyond_percent(whole_bytes); }

 private:
  [[nodiscard]] double beyond_percent(std::uint64_t bytes) const {
    const double useful = static_cast<double>(profiles) * profile_bytes();
    return (static_cast<double>(bytes) / useful - 1) * 100;
  }
};

[[nodiscard]] MemoryPlan plan_memory(const Config& config, const SegmentPlan& segment);

/// 1536 → "1.5 KiB"
[[nodiscard]] std::string size_text(std::uint64_t bytes);

/// "count", ..., "trait"
[[nodiscard]] const char* feature_type_name(FeatureType type);

}  // namespace deja
