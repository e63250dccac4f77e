// A small appliance built in code: its catalog and settings as flat messages, as the supervisor
// would make them from a config. Test code; header only.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "shm/catalog.capnp.h"
#include "shm/columns/column_size.h"
#include "shm/feature_spec.h"
#include "shm/settings.capnp.h"

namespace deja {

/// An event kind with its fields; slots are given out in the order in which paths are first met.
/// A path with "[]" is an element of the array before it.
struct TestEventKind {
  struct Field {
    std::string name;
    std::string path;
  };
  std::string name;
  std::string match;
  std::vector<Field> fields;
};

/// A feature; its offset and bytes are worked out.
struct TestFeature {
  std::string name;
  FeatureSpec spec;
  std::vector<std::uint16_t> events;  ///< indices of event kinds
  std::string of;
  std::string where;
};

struct TestAppliance {
  std::vector<TestEventKind> events;
  std::vector<TestFeature> features;
  std::uint64_t profiles_max = 1000;
  std::uint32_t shard_count = 4;
  std::uint32_t worker_count = 1;
  std::uint32_t ingest_count = 1;
  std::uint32_t key_bytes = 64;
  std::uint64_t ring_bytes = 64 * 1024;
  std::uint64_t log_bytes = 256 * 1024;
  std::uint64_t return_bytes = 64 * 1024;
  std::uint64_t verdict_bytes = 4096;
  std::uint32_t dedup_window = 1000;
  schema::Wait wait = schema::Wait::ADAPTIVE;

  /// Events: 0 "view" (slots 0 item, 1 category, 2 price), 1 "order" (slot 3 value, 4
  /// products[].price). Features: "views" counts views, "spend" sums order.value, "last_item" is
  /// the item of the last view.
  [[nodiscard]] static TestAppliance small() {
    TestAppliance appliance;
    appliance.events = {
        {"view",
         "Product Viewed",
         {{"item", "properties.product_id"},
          {"category", "properties.category"},
          {"price", "properties.price"}}},
        {"order",
         "Order Completed",
         {{"value", "properties.revenue"}, {"each_price", "properties.products[].price"}}}};
    FeatureSpec views;
    views.type = FeatureType::kCount;
    FeatureSpec spend;
    spend.type = FeatureType::kSum;
    FeatureSpec last_item;
    last_item.type = FeatureType::kLast;
    last_item.text_bytes = 48;
    appliance.features = {{"views", views, {0}, "", ""},
                          {"spend", spend, {1}, "value", ""},
                          {"last_item", last_item, {0}, "item", ""}};
    return appliance;
  }
};

[[nodiscard]] inline std::vector<std::uint8_t> flat_bytes(capnp::MessageBuilder& message) {
  const kj::Array<capnp::word> words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  return {bytes.begin(), bytes.end()};
}

/// The catalog's flat message; `frame_bytes` becomes the sum of its columns.
[[nodiscard]] inline std::vector<std::uint8_t> build_catalog(const TestAppliance& appliance,
                                                             std::uint32_t& frame_bytes) {
  capnp::MallocMessageBuilder message(64 * 1024);
  auto catalog = message.initRoot<schema::Catalog>();
  catalog.setAppliance("test");
  catalog.setKeyBytes(appliance.key_bytes);

  std::vector<std::string> paths;
  std::vector<std::string> arrays;
  const auto number_in = [](std::vector<std::string>& all, const std::string& wanted) {
    for (std::size_t at = 0; at < all.size(); ++at) {
      if (all[at] == wanted) return static_cast<std::uint16_t>(at);
    }
    all.push_back(wanted);
    return static_cast<std::uint16_t>(all.size() - 1);
  };
  auto events = catalog.initEvents(static_cast<unsigned>(appliance.events.size()));
  for (unsigned at = 0; at < events.size(); ++at) {
    const TestEventKind& kind = appliance.events[at];
    events[at].setName(kind.name);
    events[at].setCall(schema::Call::TRACK);
    events[at].setMatch(kind.match);
    auto fields = events[at].initFields(static_cast<unsigned>(kind.fields.size()));
    for (unsigned field = 0; field < fields.size(); ++field) {
      fields[field].setName(kind.fields[field].name);
      fields[field].setSlot(number_in(paths, kind.fields[field].path));
    }
  }
  auto slots = catalog.initSlots(static_cast<unsigned>(paths.size()));
  for (unsigned at = 0; at < slots.size(); ++at) {
    slots[at].setPath(paths[at]);
    const std::size_t brackets = paths[at].find("[]");
    if (brackets == std::string::npos) continue;
    const std::uint16_t array = number_in(arrays, paths[at].substr(0, brackets));
    slots[at].setRoot(static_cast<std::uint16_t>(array + 1));
  }

  frame_bytes = 0;
  auto features = catalog.initFeatures(static_cast<unsigned>(appliance.features.size()));
  for (unsigned at = 0; at < features.size(); ++at) {
    const TestFeature& feature = appliance.features[at];
    auto built = features[at];
    built.setName(feature.name);
    built.setType(static_cast<schema::FeatureType>(feature.spec.type));
    built.setOffset(frame_bytes);
    built.setBytes(column_bytes(feature.spec));
    built.setWindowUs(feature.spec.window_us);
    built.setPanes(feature.spec.panes);
    built.setTumbling(feature.spec.tumbling);
    built.setKeep(feature.spec.keep);
    built.setTrack(feature.spec.track);
    built.setTextBytes(feature.spec.text_bytes);
    built.setHalfLifeUs(feature.spec.half_life_us);
    built.setGapUs(feature.spec.gap_us);
    built.setOf(feature.of);
    built.setWhere(feature.where);
    auto sources = built.initSources(static_cast<unsigned>(feature.events.size()));
    for (unsigned source = 0; source < sources.size(); ++source) {
      sources[source].setEvent(feature.events[source]);
      sources[source].setWeight(1);
    }
    frame_bytes += column_bytes(feature.spec);
  }
  catalog.setFrameBytes(frame_bytes);
  return flat_bytes(message);
}

/// The settings' flat message: nothing is pinned, nothing is listened to.
[[nodiscard]] inline std::vector<std::uint8_t> build_settings(const TestAppliance& appliance) {
  capnp::MallocMessageBuilder message;
  auto settings = message.initRoot<schema::Settings>();
  settings.setAppliance("test");
  auto ingest_cpus = settings.initIngestCpus(appliance.ingest_count);
  for (unsigned at = 0; at < ingest_cpus.size(); ++at) ingest_cpus.set(at, -1);
  auto worker_cpus = settings.initWorkerCpus(appliance.worker_count);
  for (unsigned at = 0; at < worker_cpus.size(); ++at) worker_cpus.set(at, -1);
  settings.setWait(appliance.wait);
  settings.setDedupWindow(appliance.dedup_window);
  settings.setMaxFutureUs(300'000'000);
  settings.setFlushEveryUs(200'000);
  settings.setLossWindowUs(60'000'000);
  settings.setFullRingWaitUs(100'000);
  settings.setGroupCommitUs(1000);
  settings.setRingBytes(appliance.ring_bytes);
  settings.setLogBytes(appliance.log_bytes);
  settings.setReturnBytes(appliance.return_bytes);
  settings.setVerdictBytes(appliance.verdict_bytes);
  return flat_bytes(message);
}

}  // namespace deja
