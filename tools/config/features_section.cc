// [features]: all of them, the slots of their events, and the frame in which their columns lie.
#include <cstdint>
#include <string>
#include <utility>

#include "shm/columns/column_size.h"
#include "tools/config/feature_reader.h"
#include "tools/config/field_path.h"
#include "tools/config/sections.h"

namespace deja {
namespace {

void lay_out_frame(TableReader& reader, Config& config) {
  std::uint64_t offset = 0;
  for (FeatureConfig& feature : config.features) {
    feature.spec.bytes = column_bytes(feature.spec);
    feature.spec.offset = static_cast<std::uint32_t>(offset);
    offset += feature.spec.bytes;
    if (offset <= kProfileFrameBytesMax) continue;
    reader.wrong("with " + feature.name + " a profile has more than " +
                     std::to_string(kProfileFrameBytesMax) + " bytes",
                 "keep, track, panes or bytes of the large ones have to be smaller");
    return;
  }
  config.frame_bytes = static_cast<std::uint32_t>(offset);
}

}  // namespace

void read_features(const TomlValue* section, Config& config, Mistakes& mistakes) {
  TableReader reader(section, "[features]", mistakes);
  for (const TomlEntry& entry : reader.entries()) {
    (void)reader.take(entry.key);
    if (!is_plain_name(entry.key, "_-", 64)) {
      mistakes.add(entry.place, reader.where(), "found \"" + entry.key + "\"",
                   "a feature's name is 1 to 64 of A-Z a-z 0-9 _ -");
    }
    auto feature = read_feature(entry, reader.where(entry.key), config, mistakes);
    if (feature) config.features.push_back(*std::move(feature));
  }
  if (config.features.size() > kFeaturesMax) {
    reader.wrong("found " + std::to_string(config.features.size()) + " features",
                 "there is room for " + std::to_string(kFeaturesMax));
    return;
  }
  const bool were_too_many = config.slots.size() > kSlotsMax;  // and noted in [events]
  config.slots = number_slots(config.events);
  if (!were_too_many && config.slots.size() > kSlotsMax) {
    reader.wrong("the fields have " + std::to_string(config.slots.size()) + " different paths",
                 "there is room for " + std::to_string(kSlotsMax));
  }
  lay_out_frame(reader, config);
}

}  // namespace deja
