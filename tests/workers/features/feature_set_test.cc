#include "workers/features/feature_set.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "shm/columns/finish.h"
#include "shm/value_json.h"
#include "tests/workers/features/catalog_builder.h"

namespace deja::features {
namespace {

// Slots: view has item 0, category 1, price 2; order has item 3, price 4, quantity 5 (elements of
// array 1), code 6 (of array 2), value 7, country 8.
const std::vector<KindDeclaration> kKinds = {
    {"view",
     {{"item", "properties.product_id", 0},
      {"category", "properties.category", 0},
      {"price", "properties.price", 0}}},
    {"order",
     {{"item", "properties.products[].product_id", 1},
      {"price", "properties.products[].price", 1},
      {"quantity", "properties.products[].quantity", 1},
      {"code", "properties.coupons[].code", 2},
      {"value", "properties.revenue", 0},
      {"country", "properties.country", 0}}},
};
constexpr std::uint64_t kView = 1;
constexpr std::uint64_t kOrder = 2;

/// A compiled set of the features, one frame, and one event to fill.
class Shop {
 public:
  explicit Shop(const std::vector<FeatureDeclaration>& features)
      : catalog_(kKinds, features),
        set_(FeatureSet::compile(catalog_.reader())),
        event_(set_.value().root_of_slot()),
        frame_(set_.value().frame_bytes() / 8) {}

  Shop& begin(std::uint64_t kinds, std::int64_t time_us) {
    event_.values.clear();
    event_.kinds = kinds;
    event_.time_us = time_us;
    return *this;
  }
  Shop& with(std::uint32_t slot, double number, std::uint32_t element = 0) {
    EXPECT_TRUE(event_.values.set(slot, element, Value::of(number)));
    return *this;
  }
  Shop& with(std::uint32_t slot, const char* text, std::uint32_t element = 0) {
    EXPECT_TRUE(event_.values.set(slot, element,
                                  Value::of(text, static_cast<std::uint32_t>(std::strlen(text)))));
    return *this;
  }
  unsigned apply() { return set_.value().apply(event_, frame()); }

  [[nodiscard]] std::string json(std::size_t feature, std::int64_t at_us = 0) {
    std::string out;
    const FeatureSpec& spec = set_.value().specs()[feature];
    append_feature_json(out, spec, frame() + spec.offset, at_us);
    return out;
  }
  [[nodiscard]] std::uint8_t* frame() { return reinterpret_cast<std::uint8_t*>(frame_.data()); }
  [[nodiscard]] const FeatureSet& set() { return set_.value(); }

 private:
  CatalogBuilder catalog_;
  Result<FeatureSet> set_;
  Event event_;
  std::vector<std::uint64_t> frame_;
};

FeatureDeclaration feature(FeatureType type, std::vector<SourceDeclaration> sources,
                           std::string of = {}, std::string where = {}) {
  return {"f", ordinary(type), std::move(sources), std::move(of), std::move(where)};
}

TEST(FeatureSet, AnEventFeedsTheFeaturesOfItsKindsAndNoOthers) {
  Shop shop({feature(FeatureType::kCount, {{0, 1}}), feature(FeatureType::kCount, {{1, 1}}),
             feature(FeatureType::kCount, {{0, 1}, {1, 1}})});
  shop.begin(kView, 1).apply();
  shop.begin(kView, 2).apply();
  shop.begin(kOrder, 3).apply();
  shop.begin(std::uint64_t{1} << 63U, 3).apply();  // a kind that this catalog has not
  EXPECT_EQ(shop.json(0), "2");
  EXPECT_EQ(shop.json(1), "1");
  EXPECT_EQ(shop.json(2), "3");
}

TEST(FeatureSet, AnEventOfTwoKindsFeedsAFeatureOfBothOnceForEach) {
  Shop shop({feature(FeatureType::kTop, {{0, 1}, {1, 4}}, "item")});
  shop.begin(kView | kOrder, 1).with(0, "p1").with(3, "p1", 0).with(3, "p2", 1).apply();
  EXPECT_EQ(shop.json(0), R"([["p1",5],["p2",4]])");
}

TEST(FeatureSet, AnEventOfTwoKindsIsOneEventOfASession) {
  Shop shop({feature(FeatureType::kSession, {{0, 1}, {1, 1}})});
  for (std::int64_t time_us = 0; time_us < 50; time_us += 10) {
    shop.begin(kView | kOrder, time_us).apply();
  }
  shop.begin(kOrder, 50).apply();
  EXPECT_NE(shop.json(0).find("\"events\":6,"), std::string::npos) << shop.json(0);
}

TEST(FeatureSet, NamesMeanTheFieldsOfEachEvent) {
  Shop shop({feature(FeatureType::kSum, {{0, 1}, {1, 1}}, "price")});
  shop.begin(kView, 1).with(2, 10).apply();
  shop.begin(kOrder, 1).with(4, 1, 0).with(4, 2, 1).apply();
  EXPECT_EQ(shop.json(0), "13");
}

TEST(FeatureSet, ArraysOfOneRootGoTogetherElementByElement) {
  Shop shop({feature(FeatureType::kSum, {{1, 1}}, "price * quantity"),
             feature(FeatureType::kRecent, {{1, 1}}, "item"),
             feature(FeatureType::kMean, {{1, 1}}, "price * value")});
  shop.begin(kOrder, 1).with(7, 100);
  shop.with(3, "a", 0).with(4, 2, 0).with(5, 3, 0);
  shop.with(3, "b", 1).with(4, 5, 1);  // no quantity: nothing to add
  shop.with(3, "c", 2).with(4, 7, 2).with(5, 1, 2);
  shop.apply();
  EXPECT_EQ(shop.json(0), "13");
  EXPECT_EQ(shop.json(1), R"(["a","b","c"])");
  EXPECT_EQ(shop.json(2), "466.6666666666667");
}

TEST(FeatureSet, WhereOnAnArrayFiltersItsElementsAndElseTheEvent) {
  Shop shop({feature(FeatureType::kSum, {{1, 1}}, "price", "quantity > 1"),
             feature(FeatureType::kSum, {{1, 1}}, "price", "country == 'DE'"),
             feature(FeatureType::kSum, {{1, 1}}, "value", "price > 4"),
             feature(FeatureType::kRecent, {{1, 1}}, "item", "price > 4 and country == 'DE'")});
  for (const char* country : {"DE", "FR"}) {
    shop.begin(kOrder, 1).with(7, 100).with(8, country);
    shop.with(3, "a", 0).with(4, 2, 0).with(5, 1, 0);
    shop.with(3, "b", 1).with(4, 5, 1).with(5, 2, 1);
    shop.with(3, "c", 2).with(4, 6, 2).with(5, 3, 2);
    shop.apply();
  }
  EXPECT_EQ(shop.json(0), "22");   // 5 + 6, twice
  EXPECT_EQ(shop.json(1), "13");   // all of the German one
  EXPECT_EQ(shop.json(2), "200");  // once for each event, though two elements pass
  EXPECT_EQ(shop.json(3), R"(["b","c"])");
}

TEST(FeatureSet, CountCountsEventsAndNotElements) {
  Shop shop({feature(FeatureType::kCount, {{1, 1}}),
             feature(FeatureType::kCount, {{1, 1}}, "", "price > 4")});
  shop.begin(kOrder, 1).with(4, 5, 0).with(4, 6, 1).with(4, 1, 2).apply();
  shop.begin(kOrder, 1).with(4, 1, 0).apply();
  shop.begin(kOrder, 1).apply();
  EXPECT_EQ(shop.json(0), "3");
  EXPECT_EQ(shop.json(1), "1");
}

TEST(FeatureSet, ValuesThatAreNoNumbersAreSkippedByNumericFeatures) {
  Shop shop({feature(FeatureType::kSum, {{0, 1}}, "price"),
             feature(FeatureType::kMax, {{0, 1}}, "price"),
             feature(FeatureType::kCount, {{0, 1}})});
  shop.begin(kView, 1).with(2, "12").apply();
  shop.begin(kView, 1).apply();
  EXPECT_EQ(shop.json(0), "0");
  EXPECT_EQ(shop.json(1), "null");
  EXPECT_EQ(shop.json(2), "2");
  shop.begin(kView, 1).with(2, -0.0).apply();
  EXPECT_EQ(shop.json(1), "0");
}

TEST(FeatureSet, NumbersAsItemsAreTheirShortestText) {
  Shop shop({feature(FeatureType::kRecent, {{0, 1}}, "item")});
  shop.begin(kView, 1).with(0, 100000).apply();
  shop.begin(kView, 2).with(0, "100000").apply();
  shop.begin(kView, 3).with(0, 0.5).apply();
  shop.begin(kView, 4).with(0, -0.0).apply();
  EXPECT_EQ(shop.json(0), R"(["0","0.5","100000"])");
}

TEST(FeatureSet, SaysForHowManyFeaturesAnEventWasLate) {
  FeatureDeclaration hour = feature(FeatureType::kCount, {{0, 1}});
  hour.spec = ordinary(FeatureType::kCount, 1200);
  FeatureDeclaration day = feature(FeatureType::kSum, {{0, 1}}, "price");
  day.spec = ordinary(FeatureType::kSum, 12000);
  FeatureDeclaration elements = feature(FeatureType::kSum, {{1, 1}}, "price");
  elements.spec = ordinary(FeatureType::kSum, 1200);
  Shop shop({hour, day, feature(FeatureType::kSession, {{0, 1}}), elements});
  EXPECT_EQ(shop.begin(kView, 50000).with(2, 1).apply(), 0U);
  EXPECT_EQ(shop.begin(kView, 48000).with(2, 1).apply(), 2U);  // the hour and the session
  EXPECT_EQ(shop.begin(kView, 1000).with(2, 1).apply(), 3U);
  EXPECT_EQ(shop.begin(kView, 1000).apply(), 2U);  // without a price the sum is not fed
  EXPECT_EQ(shop.json(0, 50000), "1");
  EXPECT_EQ(shop.json(1, 50000), "2");
  EXPECT_EQ(shop.begin(kOrder, 50000).with(4, 1, 0).apply(), 0U);
  EXPECT_EQ(shop.begin(kOrder, 1000).with(4, 1, 0).with(4, "none", 1).apply(), 1U);
}

TEST(FeatureSet, MergesEveryColumnOfTwoFrames) {
  Shop shop({feature(FeatureType::kCount, {{0, 1}}),
             feature(FeatureType::kRecent, {{0, 1}}, "item"),
             feature(FeatureType::kSession, {{0, 1}})});
  shop.begin(kView, 10).with(0, "a").apply();
  const std::vector<std::uint8_t> stored(shop.frame(), shop.frame() + shop.set().frame_bytes());
  std::memset(shop.frame(), 0, shop.set().frame_bytes());
  shop.begin(kView, 20).with(0, "b").apply();
  shop.set().merge(shop.frame(), stored.data());
  EXPECT_EQ(shop.json(0), "2");
  EXPECT_EQ(shop.json(1), R"(["b","a"])");
  EXPECT_EQ(shop.json(2, 20),
            R"({"events":2,"started":"1970-01-01T00:00:00.000010Z","duration_s":1e-05,)"
            R"("active":true,"count":1})");
}

std::string refusal(const std::vector<FeatureDeclaration>& features,
                    void (*spoil)(schema::Catalog::Builder) = nullptr) {
  CatalogBuilder catalog(kKinds, features);
  if (spoil != nullptr) spoil(catalog.builder());
  const Result<FeatureSet> set = FeatureSet::compile(catalog.reader());
  return set.ok() ? "" : set.error().message();
}

TEST(FeatureSet, RefusesACatalogThatCanNotBe) {
  const FeatureDeclaration good = feature(FeatureType::kSum, {{0, 1}}, "price");
  EXPECT_EQ(refusal({good}), "");
  const auto contains = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  contains(refusal({feature(FeatureType::kSum, {{0, 1}}, "prize")}), "'prize' for event 'view'");
  contains(refusal({feature(FeatureType::kSum, {{9, 1}}, "price")}), "event that is not there");
  contains(refusal({feature(FeatureType::kSum, {{0, 1}})}), "has no 'of'");
  contains(refusal({feature(FeatureType::kCount, {{0, 1}}, "price")}), "can't have an 'of'");
  contains(refusal({feature(FeatureType::kTop, {{0, 0}}, "item")}), "not above 0");
  contains(refusal({feature(FeatureType::kTop, {{0, -1}}, "item")}), "not above 0");
  contains(refusal({feature(FeatureType::kSum, {{1, 1}}, "price", "code == 'x'")}),
           "two different arrays");
  FeatureDeclaration both = feature(FeatureType::kTop, {{0, 1}}, "item");
  both.spec = ordinary(FeatureType::kTop, 1200);
  both.spec.half_life_us = 5;
  contains(refusal({both}), "exclude each other");
  contains(refusal({good}, [](auto catalog) { catalog.setFrameBytes(0); }), "lie in the frame");
  contains(refusal({good}, [](auto catalog) { catalog.getFeatures()[0].setOffset(4); }),
           "lie in the frame");
  contains(refusal({good}, [](auto catalog) { catalog.getFeatures()[0].setPanes(0); }),
           "panes must be 1 to 64");
  contains(refusal({good}, [](auto catalog) { catalog.getEvents()[0].getFields()[2].setSlot(99); }),
           "'price' for event 'view'");
}

}  // namespace
}  // namespace deja::features
