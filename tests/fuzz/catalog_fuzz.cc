// A catalog: an input is the bytes of one, as Redis or a segment's file could hold them. The
// keeper, the feature engine and libdeja each read it for themselves. Where the engine takes it,
// the other two do, with the same columns; events of any of its kinds can be applied to a frame of
// it, and every feature of that frame can be read; and carried to itself a frame stays as it was.
#include <capnp/serialize.h>

#include <cstdlib>
#include <memory>

#include "shm/catalog_check.h"
#include "shm/libdeja/handle.h"
#include "tests/fuzz/feature_world.h"
#include "workers/keeper/stored_catalog.h"

namespace deja::fuzz {
namespace {

constexpr std::uint32_t kFrameBytesMax = 1U << 20U;

bool libdeja_takes(std::span<const std::uint8_t> bytes, std::uint32_t frame_bytes,
                   std::uint32_t& feature_count) {
  const std::vector<char> copy(bytes.begin(), bytes.end());
  libdeja::Attachment attachment;
  bool no_memory = false;
  const bool taken =
      libdeja::read_catalog(copy.data(), copy.size(), frame_bytes, attachment, &no_memory);
  feature_count = attachment.feature_count;
  for (std::uint32_t at = 0; taken && at < feature_count; ++at) {
    CHECK(std::strlen(attachment.features[at].name) < bytes.size());
  }
  std::free(attachment.features);
  return taken;
}

void apply_events(const FeatureSet& features, std::uint32_t kind_count) {
  if (features.frame_bytes() > kFrameBytesMax) return;
  Frame frame(round_up(features.frame_bytes(), 8));
  Event event(features.root_of_slot());
  event.time_us = event.received_us = 1'700'000'000'000'000;
  event.kinds = kind_count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << kind_count) - 1;
  for (std::uint32_t slot = 0; slot < features.root_of_slot().size(); ++slot) {
    CHECK(event.values.set(slot, 0, slot % 2 == 0 ? Value::of(slot + 0.5) : Value::of("text", 4)));
    (void)event.values.set(slot, 2, Value::of(1));
  }
  (void)features.apply(event, frame.data());
  Frame other(frame.size());
  features.merge(other.data(), frame.data());
  for (const FeatureSpec& spec : features.specs()) {
    check_finished(spec, frame.data() + spec.offset, event.time_us);
    check_finished(spec, other.data() + spec.offset, event.time_us);
  }
}

void run(std::span<const std::uint8_t> bytes) {
  const Result<StoredCatalog> stored =
      StoredCatalog::parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (stored.ok() && stored->frame_bytes <= kFrameBytesMax) {
    const FrameTranslation same(*stored, *stored);
    std::string frame(stored->frame_bytes, '\x5a');
    std::string carried;
    same.translate(frame, carried);
    CHECK(carried.size() == frame.size());
  }
  std::vector<std::uint64_t> words(bytes.size() / 8);
  if (words.empty()) return;
  std::memcpy(words.data(), bytes.data(), words.size() * 8);
  std::unique_ptr<capnp::FlatArrayMessageReader> message;
  schema::Catalog::Reader catalog;
  try {
    capnp::ReaderOptions options;
    options.traversalLimitInWords = 1ULL << 40U;  // Segment::open()'s
    message = std::make_unique<capnp::FlatArrayMessageReader>(
        kj::arrayPtr(reinterpret_cast<const capnp::word*>(words.data()), words.size()), options);
    catalog = message->getRoot<schema::Catalog>();
  } catch (const kj::Exception&) {
    CHECK(!stored.ok());
    return;
  }
  if (!check_readable(catalog).ok()) return;  // as for whoever opens a segment
  std::uint32_t feature_count = 0;
  const bool read = libdeja_takes(bytes, catalog.getFrameBytes(), feature_count);
  const Result<FeatureSet> features = FeatureSet::compile(catalog);
  if (!features.ok()) {
    CHECK(!features.error().message().empty());
    return;
  }
  // libdeja reads messages of one segment, as the supervisor writes them, and the features alone.
  if (read) CHECK(feature_count == features->specs().size());
  if (stored.ok()) {
    CHECK(stored->frame_bytes == features->frame_bytes());
    CHECK(stored->features.size() == features->specs().size());
  }
  apply_events(*features, catalog.getEvents().size());
}

}  // namespace
}  // namespace deja::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  deja::fuzz::run({data, size});
  return 0;
}
