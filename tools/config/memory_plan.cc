#include "tools/config/memory_plan.h"

#include <array>
#include <cstdio>
#include <string_view>

#include "shm/superblock.h"
#include "tools/config/feature_options.h"

namespace deja {
namespace {

struct Group {
  std::string_view prefix;  ///< of a file's name
  const char* what;
};
constexpr std::array kGroups = {
    Group{"ids-", "id sets"},
    Group{"ring-", "rings"},
    Group{"log-", "logs"},
    Group{"return-", "return rings"},
    Group{"verdict-", "verdict rings"},
    Group{"trace", "what deja trace follows"},
    Group{"", "positions, counters, catalog"},
};

}  // namespace

const char* feature_type_name(FeatureType type) {
  return kFeatureTypes[static_cast<std::size_t>(type)].data();  // of literals: terminated
}

MemoryPlan plan_memory(const Config& config, const SegmentPlan& segment) {
  MemoryPlan plan;
  for (const FeatureConfig& feature : config.features) {
    plan.columns.push_back(
        {feature.name, feature_type_name(feature.spec.type), feature.spec.bytes});
  }
  plan.geometry = segment.geometry();
  plan.profiles = segment.profiles_max;
  plan.table_bytes = plan.geometry.table_bytes();
  for (const Group& group : kGroups) plan.others.push_back({group.what, 0});
  for (const SegmentFile& file : segment.files) {
    std::size_t at = 0;
    while (!file.name.starts_with(kGroups[at].prefix)) ++at;
    plan.others[at].bytes += file.bytes;
  }
  plan.others.back().bytes +=
      segment.catalog.size() + segment.settings.size() + sizeof(SuperblockLayout);
  plan.whole_bytes = plan.table_bytes;
  for (const MemoryPlan::Files& files : plan.others) plan.whole_bytes += files.bytes;
  return plan;
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double size = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (size >= 1024 && unit + 1 < kUnits.size()) {
    size /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", size, kUnits[unit]);
  return text.data();
}

}  // namespace deja
