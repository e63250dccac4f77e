// The features of a catalog (shm/catalog.capnp), read with libc alone. The numbers are where
// `capnp compile -ocapnp shm/catalog.capnp` says the fields lie.
#include <cstdlib>

#include "shm/capnp_view.h"
#include "shm/columns/column_size.h"
#include "shm/libdeja/handle.h"

namespace deja::libdeja {
namespace {

constexpr std::uint32_t kFeaturesMax = 65536;

FeatureSpec spec_of(const capnp_view::Struct& feature) {
  FeatureSpec spec;
  spec.type = static_cast<FeatureType>(feature.get<std::uint16_t>(0) & 0xffU);
  spec.tumbling = feature.get_bool(16);
  spec.offset = feature.get<std::uint32_t>(4);
  spec.bytes = feature.get<std::uint32_t>(8);
  spec.panes = feature.get<std::uint32_t>(12);
  spec.window_us = feature.get<std::int64_t>(16);
  spec.keep = feature.get<std::uint32_t>(24);
  spec.track = feature.get<std::uint32_t>(28);
  spec.text_bytes = feature.get<std::uint32_t>(32);
  spec.half_life_us = feature.get<std::int64_t>(40);
  spec.gap_us = feature.get<std::int64_t>(48);
  return spec;
}

}  // namespace

bool read_catalog(const char* catalog, std::size_t bytes, std::uint32_t frame_bytes,
                  Attachment& into, bool* no_memory) {
  *no_memory = false;
  capnp_view::Message message = capnp_view::Message::of_message(catalog, bytes);
  const capnp_view::List features = message.root().list(3);
  if (message.damaged() || features.size() > kFeaturesMax) return false;
  into.feature_count = features.size();
  if (features.size() == 0) return true;
  into.features = static_cast<Feature*>(std::calloc(features.size(), sizeof(Feature)));
  if (into.features == nullptr) {
    *no_memory = true;
    return false;
  }
  for (std::uint32_t at = 0; at < features.size(); ++at) {
    Feature& feature = into.features[at];
    feature.spec = spec_of(features[at]);
    feature.name = features[at].text(0).data;
    const bool known_type =
        features[at].get<std::uint16_t>(0) <= static_cast<std::uint16_t>(FeatureType::kTrait);
    feature.readable = known_type && column_fits(feature.spec, frame_bytes);
    // A later Deja may add types; but a type that is known must lie where it says.
    if (known_type && !feature.readable) return false;
  }
  return !message.damaged();
}

}  // namespace deja::libdeja
