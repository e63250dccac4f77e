// A catalog for tests, written as a config would say it.
#pragma once

#include <capnp/message.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "shm/catalog.capnp.h"
#include "shm/columns/column_size.h"
#include "shm/feature_spec.h"
#include "workers/features/definition_hash.h"
#include "workers/features/feature_set.h"

namespace deja::features {

struct FieldDeclaration {
  std::string name;
  std::string path;
  std::uint16_t root = 0;
};

struct KindDeclaration {
  std::string name;
  std::vector<FieldDeclaration> fields;
  std::string match = "*";
  schema::Call call = schema::Call::TRACK;
};

struct SourceDeclaration {
  std::uint16_t event = 0;
  double weight = 1;
};

struct FeatureDeclaration {
  std::string name;
  FeatureSpec spec;
  std::vector<SourceDeclaration> sources;
  std::string of;
  std::string where;
};

/// A spec of a type with ordinary settings.
inline FeatureSpec ordinary(FeatureType type, std::int64_t window_us = 0) {
  FeatureSpec spec;
  spec.type = type;
  spec.window_us = window_us;
  spec.panes = window_us == 0 ? 1 : 12;
  spec.keep = 4;
  spec.track = 16;
  spec.text_bytes = 16;
  spec.gap_us = 100;
  return spec;
}

class CatalogBuilder {
 public:
  CatalogBuilder(const std::vector<KindDeclaration>& kinds,
                 const std::vector<FeatureDeclaration>& features)
      : message_(std::make_unique<capnp::MallocMessageBuilder>()) {
    catalog_ = message_->initRoot<schema::Catalog>();
    std::vector<FieldDeclaration> slots;
    auto events = catalog_.initEvents(static_cast<unsigned>(kinds.size()));
    for (unsigned at = 0; at < kinds.size(); ++at) {
      events[at].setName(kinds[at].name);
      events[at].setCall(kinds[at].call);
      events[at].setMatch(kinds[at].match);
      auto fields = events[at].initFields(static_cast<unsigned>(kinds[at].fields.size()));
      for (unsigned field = 0; field < kinds[at].fields.size(); ++field) {
        fields[field].setName(kinds[at].fields[field].name);
        fields[field].setSlot(static_cast<std::uint16_t>(slots.size()));
        slots.push_back(kinds[at].fields[field]);
      }
    }
    auto listed = catalog_.initSlots(static_cast<unsigned>(slots.size()));
    for (unsigned at = 0; at < slots.size(); ++at) {
      listed[at].setPath(slots[at].path);
      listed[at].setRoot(slots[at].root);
    }
    auto columns = catalog_.initFeatures(static_cast<unsigned>(features.size()));
    std::uint32_t offset = 0;
    for (unsigned at = 0; at < features.size(); ++at) {
      set_feature(columns[at], features[at], offset);
      offset += columns[at].getBytes();
    }
    catalog_.setFrameBytes(offset);
  }

  [[nodiscard]] schema::Catalog::Builder builder() { return catalog_; }
  [[nodiscard]] schema::Catalog::Reader reader() { return catalog_.asReader(); }
  [[nodiscard]] std::uint64_t definition(unsigned feature) {
    return definition_hash(reader().getFeatures()[feature], reader());
  }

 private:
  static void set_feature(schema::Feature::Builder into, const FeatureDeclaration& feature,
                          std::uint32_t offset) {
    into.setName(feature.name);
    into.setType(static_cast<schema::FeatureType>(feature.spec.type));
    into.setOffset(offset);
    into.setBytes(column_bytes(feature.spec));
    into.setWindowUs(feature.spec.window_us);
    into.setPanes(feature.spec.panes);
    into.setTumbling(feature.spec.tumbling);
    into.setKeep(feature.spec.keep);
    into.setTrack(feature.spec.track);
    into.setTextBytes(feature.spec.text_bytes);
    into.setHalfLifeUs(feature.spec.half_life_us);
    into.setGapUs(feature.spec.gap_us);
    into.setOf(feature.of);
    into.setWhere(feature.where);
    auto sources = into.initSources(static_cast<unsigned>(feature.sources.size()));
    for (unsigned at = 0; at < feature.sources.size(); ++at) {
      sources[at].setEvent(feature.sources[at].event);
      sources[at].setWeight(feature.sources[at].weight);
    }
  }

  std::unique_ptr<capnp::MallocMessageBuilder> message_;
  schema::Catalog::Builder catalog_ = nullptr;
};

}  // namespace deja::features
