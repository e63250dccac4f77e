#include "workers/features/definition_hash.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "tests/workers/features/catalog_builder.h"

namespace deja::features {
namespace {

struct Config {
  std::vector<KindDeclaration> kinds = {
      {"view", {{"item", "properties.product_id", 0}, {"price", "properties.price", 0}}, "Viewed"},
      {"cart", {{"item", "properties.product_id", 0}, {"price", "properties.price", 0}}, "Added"},
  };
  std::vector<FeatureDeclaration> features = {
      {"spare", ordinary(FeatureType::kCount), {{0, 1}}, "", ""},
      {"taste", ordinary(FeatureType::kTop), {{0, 1}, {1, 4}}, "item", "price > 10"},
  };

  [[nodiscard]] std::uint64_t taste() const {
    return CatalogBuilder(kinds, features).definition(static_cast<unsigned>(features.size() - 1));
  }
};

std::uint64_t changed(const std::function<void(Config&)>& change) {
  Config config;
  change(config);
  return config.taste();
}

TEST(DefinitionHash, IsTheSameWhereTheBytesMeanTheSame) {
  const std::uint64_t before = Config().taste();
  EXPECT_EQ(changed([](Config& c) { c.features[1].name = "likes"; }), before);
  EXPECT_EQ(changed([](Config& c) { c.features.erase(c.features.begin()); }), before);
  EXPECT_EQ(
      changed([](Config& c) { std::swap(c.features[1].sources[0], c.features[1].sources[1]); }),
      before);
  EXPECT_EQ(changed([](Config& c) {
              std::swap(c.kinds[0], c.kinds[1]);
              c.features[1].sources = {{1, 1}, {0, 4}};
            }),
            before);
  EXPECT_EQ(changed([](Config& c) {
              c.kinds[0].fields.push_back({"brand", "properties.brand", 0});
            }),
            before);
  EXPECT_EQ(changed([](Config& c) { c.kinds.push_back({"visit", {}, "*"}); }), before);
}

TEST(DefinitionHash, ChangesWithEverythingThatGivesTheBytesTheirMeaning) {
  const std::vector<std::function<void(Config&)>> changes = {
      [](Config& c) { c.features[1].spec.type = FeatureType::kRecent; },
      [](Config& c) { c.features[1].spec.window_us = 1200; },
      [](Config& c) { c.features[1].spec.panes = 2; },
      [](Config& c) { c.features[1].spec.tumbling = true; },
      [](Config& c) { c.features[1].spec.keep = 3; },
      [](Config& c) { c.features[1].spec.track = 8; },
      [](Config& c) { c.features[1].spec.text_bytes = 17; },
      [](Config& c) { c.features[1].spec.half_life_us = 5; },
      [](Config& c) { c.features[1].spec.gap_us = 5; },
      [](Config& c) { c.features[1].of = "price"; },
      [](Config& c) { c.features[1].where = "price > 11"; },
      [](Config& c) { c.features[1].where = ""; },
      [](Config& c) { c.features[1].sources[1].weight = 5; },
      [](Config& c) { c.features[1].sources.pop_back(); },
      [](Config& c) { c.kinds[0].name = "look"; },
      [](Config& c) { c.kinds[0].match = "Product Viewed"; },
      [](Config& c) { c.kinds[0].call = schema::Call::PAGE; },
      [](Config& c) { c.kinds[0].fields[0].path = "properties.sku"; },
      [](Config& c) { c.kinds[1].fields[1].path = "properties.cost"; },
  };
  std::vector<std::uint64_t> seen = {Config().taste()};
  for (std::size_t at = 0; at < changes.size(); ++at) {
    const std::uint64_t hash = changed(changes[at]);
    EXPECT_EQ(std::count(seen.begin(), seen.end(), hash), 0) << "change " << at;
    seen.push_back(hash);
  }
}

}  // namespace
}  // namespace deja::features
