#include "workers/keeper/stored_catalog.h"

#include <capnp/serialize.h>

#include <algorithm>
#include <cstring>

#include "shm/catalog.capnp.h"
#include "shm/columns/column_size.h"
#include "workers/features/feature_set.h"
#include "workers/keeper/image.h"

namespace deja {
namespace {

constexpr std::size_t kCatalogBytesMax = 16U << 20U;
constexpr std::uint32_t kFrameBytesMax = 1U << 20U;

}  // namespace

Result<StoredCatalog> StoredCatalog::parse(std::string_view message) {
  const auto refused = [](const char* why) {
    return Error{std::string("read a catalog: ") + why, 0, {}};
  };
  if (message.size() % 8 != 0 || message.size() > kCatalogBytesMax) return refused("its size");
  std::vector<std::uint64_t> words(message.size() / 8);
  if (!words.empty()) std::memcpy(words.data(), message.data(), message.size());
  StoredCatalog stored;
  stored.hash = content_hash(message);
  try {
    capnp::FlatArrayMessageReader reader(kj::ArrayPtr<const capnp::word>(
        reinterpret_cast<const capnp::word*>(words.data()), words.size()));
    const auto catalog = reader.getRoot<schema::Catalog>();
    stored.frame_bytes = catalog.getFrameBytes();
    if (stored.frame_bytes > kFrameBytesMax || stored.frame_bytes % 8 != 0) {
      return refused("an impossible frame");
    }
    for (const auto feature : catalog.getFeatures()) {
      stored.features.push_back(
          {feature.getName(), feature.getDefinition(), feature_spec(feature)});
      if (!column_fits(stored.features.back().spec, stored.frame_bytes)) {
        return refused("a column that does not fit");
      }
    }
  } catch (const kj::Exception&) {
    return refused("it is not a message");
  }
  return stored;
}

FrameTranslation::FrameTranslation(const StoredCatalog& from, const StoredCatalog& to)
    : from_frame_bytes_(from.frame_bytes), to_frame_bytes_(to.frame_bytes) {
  for (const FeatureColumn& wanted : to.features) {
    // A name is no part of a definition: a feature that was renamed keeps its bytes.
    const auto found =
        std::find_if(from.features.begin(), from.features.end(), [&](const FeatureColumn& had) {
          return had.definition != 0 && had.definition == wanted.definition &&
                 had.spec.bytes == wanted.spec.bytes;
        });
    if (found == from.features.end()) continue;
    columns_.push_back({found->spec.offset, wanted.spec.offset, wanted.spec.bytes});
  }
}

void FrameTranslation::translate(std::string_view from, std::string& into) const {
  into.assign(to_frame_bytes_, '\0');
  for (const Column& column : columns_) {
    std::memcpy(into.data() + column.to_offset, from.data() + column.from_offset, column.bytes);
  }
}

}  // namespace deja
