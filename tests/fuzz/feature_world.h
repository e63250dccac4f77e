// Features of every type over events of a small shop, for the fuzzers behind the way of an event;
// and what a finished feature must look like, whatever its bytes were. Test code; one thread.
#pragma once

#include <capnp/serialize.h>

#include <cmath>
#include <string>
#include <vector>

#include "shm/columns/finish.h"
#include "shm/value_json.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/is_json.h"
#include "tests/workers/features/catalog_builder.h"
#include "workers/event_decoder.h"

namespace deja::fuzz {

/// Kinds: 0 "view" (slots 0 item, 1 category, 2 price), 1 "order" (3 item, 4 price, elements of one
/// array; 5 value), 2 "$identify" (6 plan). Features of every type, windowed too where they can be.
inline features::CatalogBuilder shop_catalog() {
  using features::FeatureDeclaration;
  constexpr std::int64_t kHourUs = 3'600'000'000;
  std::vector<FeatureDeclaration> declared;
  const auto declare = [&](const std::string& name, FeatureType type, std::uint16_t event,
                           const std::string& of, const std::string& where) {
    for (const std::int64_t window_us : {std::int64_t{0}, kHourUs}) {
      FeatureSpec spec = features::ordinary(type, window_us);
      spec.keep = 2;
      spec.track = 4;
      spec.text_bytes = 12;
      if (spec_fault(spec) != nullptr) continue;
      declared.push_back({name + (window_us == 0 ? "" : "_1h"), spec, {{event, 1}}, of, where});
    }
  };
  declare("views", FeatureType::kCount, 0, "", "price >= 1 and category != 'x'");
  declare("spend", FeatureType::kSum, 1, "value", "");
  declare("cheapest", FeatureType::kMin, 0, "price", "");
  declare("dearest", FeatureType::kMax, 1, "price * 2 - 1", "");
  declare("mean", FeatureType::kMean, 1, "price", "price > 0");
  declare("first", FeatureType::kFirst, 0, "item", "");
  declare("last", FeatureType::kLast, 0, "price", "");
  declare("recent", FeatureType::kRecent, 1, "item", "");
  declare("taste", FeatureType::kTop, 0, "category", "");
  declare("items", FeatureType::kDistinct, 1, "item", "");
  declare("session", FeatureType::kSession, 0, "", "");
  declare("plan", FeatureType::kTrait, 2, "plan", "");
  for (FeatureDeclaration& feature : declared) {
    if (feature.name == "taste" && feature.spec.window_us == 0) {
      feature.spec.half_life_us = kHourUs;
    }
  }
  features::CatalogBuilder builder({{"view",
                                     {{"item", "properties.id", 0},
                                      {"category", "properties.category", 0},
                                      {"price", "properties.price", 0}}},
                                    {"order",
                                     {{"item", "properties.products[].id", 1},
                                      {"price", "properties.products[].price", 1},
                                      {"value", "properties.revenue", 0}}},
                                    {"$identify", {{"plan", "traits.plan", 0}}}},
                                   declared);
  builder.builder().setKeyBytes(64);
  return builder;
}

/// Finishes a column at `at_us`: what is said is finite, and JSON, and the same when asked again.
inline void check_finished(const FeatureSpec& spec, const std::uint8_t* column,
                           std::int64_t at_us) {
  CHECK(std::isfinite(finish_number(spec, column, at_us).number));
  (void)is_estimate(spec, column, at_us);
  std::string text;
  append_feature_json(text, spec, column, at_us);
  CHECK(is_json(text));
  std::string again;
  append_feature_json(again, spec, column, at_us);
  CHECK(text == again);
}

/// A frame in memory of just its size, so that a sanitizer sees who leaves it.
class Frame {
 public:
  explicit Frame(std::size_t bytes) : words_(bytes / 8) {}
  void fill(std::span<const std::uint8_t> bytes) {
    if (!bytes.empty()) std::memcpy(words_.data(), bytes.data(), std::min(bytes.size(), size()));
  }
  [[nodiscard]] std::uint8_t* data() { return reinterpret_cast<std::uint8_t*>(words_.data()); }
  [[nodiscard]] std::size_t size() const { return words_.size() * 8; }

 private:
  std::vector<std::uint64_t> words_;
};

class FeatureWorld {
 public:
  FeatureWorld()
      : builder_(shop_catalog()),
        features_(std::move(*FeatureSet::compile(builder_.reader()))),
        geometry_(TableGeometry::plan(64, 4, 1, 64, features_.frame_bytes())),
        decoder_(builder_.reader(), geometry_, 0),
        event_(features_.root_of_slot()) {}

  [[nodiscard]] const FeatureSet& features() const { return features_; }
  [[nodiscard]] const TableGeometry& geometry() const { return geometry_; }
  [[nodiscard]] const EventDecoder& decoder() const { return decoder_; }
  [[nodiscard]] Event& event() { return event_; }
  [[nodiscard]] schema::Catalog::Reader catalog() { return builder_.reader(); }

  void check_frame(const std::uint8_t* frame, std::int64_t at_us) const {
    for (const FeatureSpec& spec : features_.specs()) {
      check_finished(spec, frame + spec.offset, at_us);
    }
  }

 private:
  features::CatalogBuilder builder_;
  FeatureSet features_;
  TableGeometry geometry_;
  EventDecoder decoder_;
  Event event_;
};

}  // namespace deja::fuzz
