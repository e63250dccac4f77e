#include "tools/config/catalog_builder.h"

#include <cstdint>
#include <optional>
#include <vector>

#include "shm/base/check.h"
#include "shm/catalog.capnp.h"
#include "tools/config/field_path.h"
#include "tools/config/single_segment.h"
#include "workers/features/definition_hash.h"

namespace deja {
namespace {

void fill_event(const EventConfig& event, const std::vector<SlotConfig>& slots,
                schema::EventKind::Builder kind) {
  kind.setName(event.name);
  kind.setCall(static_cast<schema::Call>(event.call));
  kind.setMatch(event.match);
  auto fields = kind.initFields(static_cast<unsigned>(event.fields.size()));
  for (unsigned at = 0; at < fields.size(); ++at) {
    const std::optional<std::uint16_t> slot = find_slot(slots, event.fields[at].path);
    CHECK(slot.has_value());  // number_slots() gave each path one
    fields[at].setName(event.fields[at].name);
    fields[at].setSlot(*slot);
  }
}

void fill_feature(const FeatureConfig& from, schema::Feature::Builder feature) {
  const FeatureSpec& spec = from.spec;
  feature.setName(from.name);
  feature.setType(static_cast<schema::FeatureType>(spec.type));
  feature.setOffset(spec.offset);
  feature.setBytes(spec.bytes);
  feature.setWindowUs(spec.window_us);
  feature.setPanes(spec.panes);
  feature.setTumbling(spec.tumbling);
  feature.setKeep(spec.keep);
  feature.setTrack(spec.track);
  feature.setTextBytes(spec.text_bytes);
  feature.setHalfLifeUs(spec.half_life_us);
  feature.setGapUs(spec.gap_us);
  feature.setOf(from.of);
  feature.setWhere(from.where);
  auto sources = feature.initSources(static_cast<unsigned>(from.sources.size()));
  for (unsigned at = 0; at < sources.size(); ++at) {
    sources[at].setEvent(from.sources[at].event);
    sources[at].setWeight(from.sources[at].weight);
  }
}

}  // namespace

kj::Array<capnp::word> build_catalog(const Config& config) {
  return single_segment_message<schema::Catalog>([&](schema::Catalog::Builder catalog) {
    catalog.setAppliance(config.appliance.name);
    catalog.setFrameBytes(config.frame_bytes);
    catalog.setKeyBytes(config.appliance.key_bytes);
    auto events = catalog.initEvents(static_cast<unsigned>(config.events.size()));
    for (unsigned at = 0; at < events.size(); ++at) {
      fill_event(config.events[at], config.slots, events[at]);
    }
    auto slots = catalog.initSlots(static_cast<unsigned>(config.slots.size()));
    for (unsigned at = 0; at < slots.size(); ++at) {
      slots[at].setPath(config.slots[at].path);
      slots[at].setRoot(config.slots[at].root);
    }
    auto features = catalog.initFeatures(static_cast<unsigned>(config.features.size()));
    for (unsigned at = 0; at < features.size(); ++at) {
      fill_feature(config.features[at], features[at]);
    }
    // A definition speaks of the events and slots, so these have to be there first.
    for (unsigned at = 0; at < features.size(); ++at) {
      features[at].setDefinition(definition_hash(features[at].asReader(), catalog.asReader()));
    }
  });
}

}  // namespace deja
