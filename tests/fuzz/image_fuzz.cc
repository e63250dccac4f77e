// A stored profile: an input is a key, and the image that Redis has under its name. It is decoded
// as it is, and again with a checksum that is right, which no mutation would find by itself. What
// is taken is the key it was asked for and says its own bytes; it comes back the same from another
// encoding; and its frame can be carried to another catalog, applied to and read.
//
//   key_size │ key │ image
#include "workers/keeper/image.h"

#include <capnp/serialize.h>

#include "tests/fuzz/feature_world.h"
#include "workers/keeper/stored_catalog.h"

namespace deja::fuzz {
namespace {

/// The image's checksum, as its header says it is made.
std::uint64_t checksum_of(std::string_view image) {
  const std::uint64_t head = content_hash(image.substr(0, offsetof(ImageHeaderLayout, checksum)));
  return head ^ (content_hash(image.substr(sizeof(ImageHeaderLayout))) * 0x9e3779b97f4a7c15U);
}

StoredCatalog stored(schema::Catalog::Reader catalog) {
  capnp::MallocMessageBuilder message;
  message.setRoot(catalog);
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asChars();
  return std::move(*StoredCatalog::parse({bytes.begin(), bytes.size()}));
}

class ImageWorld {
 public:
  ImageWorld()
      : catalog_(stored(world_.catalog())), other_(others()), to_other_(catalog_, other_) {}

  void run(Input input) {
    const auto key = input.take_bytes(input.take<std::uint8_t>() % (kKeyBytesMax + 1));
    const Key stored_under{KeyNamespace::kUser, reinterpret_cast<const char*>(key.data()),
                           static_cast<std::uint32_t>(key.size())};
    const std::string_view bytes = input.rest_as_text();
    decode(bytes, stored_under);
    if (bytes.size() < sizeof(ImageHeaderLayout)) return;
    std::string whole(bytes);
    const std::uint64_t checksum = checksum_of(whole);
    std::memcpy(whole.data() + offsetof(ImageHeaderLayout, checksum), &checksum, sizeof checksum);
    decode(whole, stored_under);
  }

 private:
  void decode(std::string_view bytes, const Key& stored_under) {
    Image image;
    const ImageFault fault = decode_image(bytes, stored_under, image);
    CHECK(name_of(fault) != nullptr);
    if (fault != ImageFault::kNone) return;
    CHECK(image.key == stored_under && image.header.sequence != 0);
    CHECK(image.frame.size() == image.header.frame_bytes);
    check_comes_back(bytes, image);
    use(image);
  }

  /// A block with this profile in it has this image.
  static void check_comes_back(std::string_view bytes, const Image& image) {
    TableGeometry geometry;
    geometry.key_bytes = kKeyBytesMax;
    geometry.frame_bytes = image.header.frame_bytes;
    std::vector<std::uint64_t> words(geometry.block_bytes() / 8 + 1);
    BlockHeaderLayout head{};
    head.sequence = image.header.sequence;
    head.updated_us = image.header.updated_us;
    head.late = image.header.late;
    head.flags = image.header.flags;
    head.key_size = image.header.key_size;
    head.key_namespace = image.header.key_namespace;
    auto* block = reinterpret_cast<char*>(words.data());
    std::memcpy(block, &head, sizeof head);
    std::memcpy(block + sizeof head, image.key.bytes, image.key.size);
    image.frame.copy(block + sizeof head + kKeyBytesMax, image.frame.size());
    std::string again;
    encode_image(ProfileCopy(words.data(), geometry), image.header.catalog_hash, again);
    ImageHeaderLayout reserved;  // what is reserved may have been anything
    std::memcpy(&reserved, bytes.data(), sizeof reserved);
    std::memset(reserved.reserved, 0, sizeof reserved.reserved);
    std::string expected(bytes);
    std::memcpy(expected.data(), &reserved, sizeof reserved);
    const std::uint64_t checksum = checksum_of(expected);
    std::memcpy(expected.data() + offsetof(ImageHeaderLayout, checksum), &checksum, 8);
    CHECK(again == expected);
  }

  void use(const Image& image) {
    if (image.frame.size() != catalog_.frame_bytes) return;
    std::string carried;
    to_other_.translate(image.frame, carried);
    CHECK(carried.size() == other_.frame_bytes);
    Frame frame(image.frame.size());
    frame.fill({reinterpret_cast<const std::uint8_t*>(image.frame.data()), image.frame.size()});
    Frame merged(image.frame.size());
    world_.features().merge(merged.data(), frame.data());
    world_.check_frame(frame.data(), image.header.updated_us);
    world_.check_frame(merged.data(), image.header.updated_us);
  }

  /// The same features in another order, one of them gone.
  static StoredCatalog others() {
    features::CatalogBuilder builder = shop_catalog();
    StoredCatalog catalog = stored(builder.reader());
    std::reverse(catalog.features.begin(), catalog.features.end());
    catalog.features.pop_back();
    catalog.frame_bytes = 0;
    for (FeatureColumn& feature : catalog.features) {
      feature.spec.offset = catalog.frame_bytes;
      catalog.frame_bytes += feature.spec.bytes;
    }
    return catalog;
  }

  FeatureWorld world_;
  StoredCatalog catalog_;
  StoredCatalog other_;
  FrameTranslation to_other_;
};

}  // namespace
}  // namespace deja::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static deja::fuzz::ImageWorld world;
  world.run({data, size});
  return 0;
}
