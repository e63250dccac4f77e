// Frames, stored profiles and catalogs.
#include <capnp/serialize.h>

#include "tests/fuzz/feature_world.h"
#include "tests/fuzz/seeds/seed.h"
#include "workers/keeper/image.h"

namespace deja::fuzz {
namespace {

/// A frame that has seen some events.
std::vector<std::uint8_t> used_frame(FeatureWorld& world) {
  Frame frame(world.features().frame_bytes());
  for (const TestEvent& from : {view("u1"), order("u1"), identify("u1"), view("u1")}) {
    TestEvent as_user = from;
    as_user.name_space = KeyNamespace::kUser;
    const std::vector<std::uint8_t> record = as_user.bytes(4);
    CHECK(world.decoder().decode(record.data(), static_cast<std::uint32_t>(record.size()),
                                 world.event()));
    (void)world.features().apply(world.event(), frame.data());
  }
  return {frame.data(), frame.data() + frame.size()};
}

void image_seeds(const std::string& folder, FeatureWorld& world) {
  const TableGeometry& geometry = world.geometry();
  const auto image_of = [&](std::uint32_t frame_bytes, const std::vector<std::uint8_t>& frame) {
    TableGeometry sized = geometry;
    sized.frame_bytes = frame_bytes;
    std::vector<std::uint64_t> words(sized.block_bytes() / 8);
    BlockHeaderLayout head{};
    head.stamp = 9;
    head.sequence = 7;
    head.updated_us = 1'700'000'000'000'000;
    head.key_size = 3;
    auto* block = reinterpret_cast<char*>(words.data());
    std::memcpy(block, &head, sizeof head);
    std::memcpy(block + sizeof head, "ada", 3);
    std::memcpy(block + sizeof head + geometry.key_bytes, frame.data(), frame_bytes);
    std::string image;
    encode_image(ProfileCopy(words.data(), sized), 42, image);
    return image;
  };
  const std::vector<std::uint8_t> frame = used_frame(world);
  const std::string whole = image_of(geometry.frame_bytes, frame);
  const auto seed = [](std::string_view key) {
    return Seed().put(static_cast<std::uint8_t>(key.size())).text(key);
  };
  seed("ada").text(whole).write(folder + "whole");
  seed("bob").text(whole).write(folder + "another_key");
  seed("ada").text(image_of(64, frame)).write(folder + "small");
  seed("ada").text(std::string_view(whole).substr(0, 100)).write(folder + "cut_short");
  seed("").text("DEJI").write(folder + "magic_alone");
}

void catalog_seeds(const std::string& folder, FeatureWorld& world) {
  const auto flat = [](schema::Catalog::Reader catalog) {
    capnp::MallocMessageBuilder message(1U << 16U);
    message.setRoot(catalog);
    const auto words = capnp::messageToFlatArray(message);
    const auto bytes = words.asBytes();
    return std::vector<std::uint8_t>(bytes.begin(), bytes.end());
  };
  Seed().put(flat(world.catalog())).write(folder + "every_type");
  features::CatalogBuilder one(
      {{"view", {{"item", "properties.id", 0}}}},
      {{"last", features::ordinary(FeatureType::kLast), {{0, 1}}, "item", "item != 'x'"}});
  Seed().put(flat(one.reader())).write(folder + "one_feature");
  features::CatalogBuilder none({}, {});
  Seed().put(flat(none.reader())).write(folder + "nothing");
  one.builder().getFeatures()[0].setOffset(16);
  Seed().put(flat(one.reader())).write(folder + "a_column_outside");
  one.builder().getFeatures()[0].setOffset(0);
  one.builder().getFeatures()[0].setOf("item +");
  Seed().put(flat(one.reader())).write(folder + "a_broken_expression");
}

void frame_seeds(const std::string& folder) {
  // In frame_fuzz.cc's order: type, window, panes, tumbling, keep, track, bytes, half-life, gap;
  // then which columns are given, then steps.
  for (std::uint16_t type = 0; type < 12; ++type) {
    for (const bool windowed : {false, true}) {
      Seed seed;
      seed.put(type);
      if (windowed) {
        seed.put<std::uint16_t>(3).put<std::uint32_t>(3'600'000).put<std::uint16_t>(4);
      } else {
        seed.put<std::uint16_t>(0).put<std::uint16_t>(0);
      }
      seed.put<std::uint16_t>(3).put<std::uint16_t>(5).put<std::uint16_t>(12);
      if (type == 8 && !windowed) {
        seed.put<std::uint16_t>(3).put<std::uint32_t>(60'000);
      } else {
        seed.put<std::uint16_t>(0);
      }
      seed.put<std::uint16_t>(1).put<std::uint16_t>(100);
      seed.put<std::uint16_t>(0).put<std::uint16_t>(0);
      for (std::int32_t at = 0; at < 4; ++at) {
        seed.put<std::uint16_t>(3).put<std::uint16_t>(3).put(at * 1000);
        if (at % 2 == 0) {
          seed.put<std::uint16_t>(4).put<std::uint8_t>(3).text("p1" + std::to_string(at));
        } else {
          seed.put<std::uint16_t>(3).put(at * 1.5);
        }
        seed.put<std::uint16_t>(3);
      }
      seed.put<std::uint16_t>(1).put<std::uint16_t>(0);
      seed.write(folder + "type_" + std::to_string(type) + (windowed ? "_windowed" : ""));
    }
  }
}

}  // namespace

void write_profile_seeds(const std::string& corpus) {
  FeatureWorld world;
  image_seeds(corpus + "/image/", world);
  catalog_seeds(corpus + "/catalog/", world);
  frame_seeds(corpus + "/frame/");
}

}  // namespace deja::fuzz
