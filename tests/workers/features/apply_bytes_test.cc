// FeatureSet::apply walks compiled steps with their own short cuts; features::apply_column is the
// plain way, by type. Over frames of any bytes and any events both must leave the same bytes, and
// those that earlier builds left: frames outlive the build that made them.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "shm/columns/item_hash.h"
#include "tests/workers/features/catalog_builder.h"
#include "tests/workers/features/random_events.h"

namespace deja::features {
namespace {

constexpr std::int64_t kHourUs = 3'600'000'000;

/// The same numbers from the same seed wherever this is built, as the goldens need.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t mixed = state_ += 0x9E3779B97F4A7C15;
    mixed = (mixed ^ mixed >> 30U) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ mixed >> 27U) * 0x94D049BB133111EB;
    return mixed ^ mixed >> 31U;
  }
  std::uint32_t below(std::uint32_t count) { return static_cast<std::uint32_t>(next() % count); }
  bool one_in(std::uint32_t count) { return below(count) == 0; }
  template <typename T, std::size_t kCount>
  const T& of(const T (&list)[kCount]) {
    return list[below(kCount)];
  }

 private:
  std::uint64_t state_;
};

/// A feature, and what its `of` and `where` mean, in words of this test.
struct Declared {
  FeatureDeclaration feature;
  std::uint32_t of = 0;  ///< the field's place in its kind: item, category, price
  std::function<bool(const Value&)> where;  ///< of the price
};

std::vector<Declared> all_features() {
  std::vector<Declared> all;
  const std::vector<SourceDeclaration> view = {{0, 1}};
  const std::vector<SourceDeclaration> both = {{0, 1}, {1, 4}};
  const char* const names[] = {"item", "category", "price"};
  const auto add = [&](const FeatureSpec& spec, const std::vector<SourceDeclaration>& sources,
                       std::uint32_t of = 3) {
    if (spec_fault(spec) != nullptr) return;
    all.push_back({{"f", spec, sources, of < 3 ? names[of] : "", ""}, of, {}});
  };
  const auto add_where = [&](FeatureType type, const char* where, auto holds) {
    add(ordinary(type, kHourUs), view, type == FeatureType::kCount ? 3 : 2);
    all.back().feature.where = where;
    all.back().where = [holds](const Value& value) {
      return value.kind == ValueKind::kNumber && holds(value.number);
    };
  };
  for (const FeatureType type : {FeatureType::kCount, FeatureType::kSum, FeatureType::kMin,
                                 FeatureType::kMax, FeatureType::kMean, FeatureType::kDistinct}) {
    const std::uint32_t of = type == FeatureType::kCount      ? 3
                             : type == FeatureType::kDistinct ? 0
                                                              : 2;
    FeatureSpec spec = ordinary(type);
    add(spec, view, of);
    for (const std::int64_t window : {std::int64_t{64}, std::int64_t{1200}, kHourUs,
                                      30 * 24 * kHourUs, columns::kDurationMaxUs}) {
      for (const std::uint32_t panes : {1U, 12U, 64U}) {
        spec.window_us = window;
        spec.panes = panes;
        spec.tumbling = panes == 1;
        add(spec, type == FeatureType::kCount ? both : view, of);
      }
    }
  }
  add_where(FeatureType::kCount, "price > 100", [](double price) { return price > 100; });
  add_where(FeatureType::kCount, "price >= 100", [](double price) { return price >= 100; });
  add_where(FeatureType::kSum, "price < 100", [](double price) { return price < 100; });
  add_where(FeatureType::kMean, "price <= 100", [](double price) { return price <= 100; });
  add_where(FeatureType::kMax, "price == 100", [](double price) { return price == 100; });
  for (const std::uint32_t bytes : {4U, 7U, 8U, 13U, 16U, 40U, 254U}) {
    for (const FeatureType type : {FeatureType::kFirst, FeatureType::kLast, FeatureType::kTrait}) {
      FeatureSpec spec = ordinary(type);
      spec.text_bytes = bytes;
      add(spec, both, 0);
      if (bytes == 16) add(spec, view, 2);
    }
    for (const std::uint32_t keep : {1U, 3U, 8U, 20U}) {
      FeatureSpec spec = ordinary(FeatureType::kRecent);
      spec.text_bytes = bytes;
      spec.keep = keep;
      add(spec, both, 0);
    }
    FeatureSpec spec = ordinary(FeatureType::kTop);
    spec.text_bytes = bytes;
    for (const std::uint32_t track : {4U, 8U}) {
      spec.track = track;
      for (const std::int64_t half_life : {std::int64_t{0}, std::int64_t{1}, std::int64_t{60},
                                           72 * kHourUs, columns::kDurationMaxUs}) {
        spec.half_life_us = half_life;
        add(spec, both, 1);
      }
    }
    spec.half_life_us = 0;
    spec.window_us = 1200;
    spec.panes = 12;
    add(spec, both, 1);
  }
  for (const std::int64_t gap :
       {std::int64_t{1}, std::int64_t{100}, kHourUs / 2, columns::kDurationMaxUs}) {
    FeatureSpec spec = ordinary(FeatureType::kSession);
    spec.gap_us = gap;
    add(spec, both);
    add(spec, view);
  }
  return all;
}

std::vector<FeatureDeclaration> declarations(const std::vector<Declared>& all) {
  std::vector<FeatureDeclaration> features;
  for (const Declared& declared : all) features.push_back(declared.feature);
  return features;
}

std::int64_t near_limit(Dice& dice, std::int64_t limit) {
  return limit + static_cast<std::int64_t>(dice.below(7)) - 3;
}

/// Forward in small and large steps, at times back.
std::int64_t next_time(Dice& dice, std::int64_t time) {
  constexpr std::int64_t kSteps[] = {0, 1, 7, 50, 110, 1300, kHourUs / 20, 3 * kHourUs};
  const std::int64_t step = dice.of(kSteps);
  return dice.one_in(4) ? time - step : time + step;
}

std::int64_t wild_time(Dice& dice) {
  if (dice.one_in(2)) return dice.one_in(2) ? INT64_MAX : INT64_MIN;
  return near_limit(dice, dice.one_in(2) ? columns::kInstantLimit : -columns::kInstantLimit);
}

Value next_value(Dice& dice, bool item) {
  static const std::string kTexts[] = {"",
                                       "a",
                                       "b",
                                       "ab",
                                       "abc",
                                       "€",
                                       "shoe",
                                       "shop",
                                       "shoes",
                                       "product",
                                       "product7",
                                       "product-7",
                                       "product€",
                                       "another-product-1",
                                       "a product whose name is longer than most",
                                       "a product whose name is longer than more"};
  static const std::string kLong(300, 'x');
  static const double kNumbers[] = {0, -0.0, 1, 2.5, 100, 99.99, -3, 12, 1e308, -1e308, 5e-324};
  Value value;
  switch (dice.below(item ? 10 : 14)) {
    case 0:
      return value;
    case 1:
      value.kind = ValueKind::kNull;
      return value;
    case 2:
      value.kind = ValueKind::kBool;
      value.number = dice.below(2);
      return value;
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
    case 8: {
      const std::string& text = dice.one_in(30) ? kLong : dice.of(kTexts);
      return Value::of(text.data(), static_cast<std::uint32_t>(text.size()));
    }
    default:
      return Value::of(dice.of(kNumbers));
  }
}

/// Bytes that nobody wrote: none, any, or a written frame with words changed into what lies near
/// the borders of their meaning.
void spoil(Dice& dice, std::vector<std::uint64_t>& frame) {
  const auto word = [&dice]() -> std::uint64_t {
    switch (dice.below(6)) {
      case 0:
        return 0;
      case 1:
        return ~std::uint64_t{0};
      case 2:
        return dice.next();
      case 3:
        return dice.next() & 0x0303'0303'0303'0303;
      case 4:
        return (std::uint64_t{1} << 63U) + dice.below(2000) - 1000;
      default:
        return static_cast<std::uint64_t>(
            near_limit(dice, dice.one_in(2) ? columns::kInstantLimit : -columns::kInstantLimit) ^
            INT64_MIN);
    }
  };
  const std::uint32_t style = dice.below(8);
  for (std::uint64_t& at : frame) {
    if (style == 0 || (style == 1 && dice.one_in(10)) || (style == 2 && dice.one_in(100))) {
      at = word();
    } else if (style == 3 && dice.one_in(50)) {
      at ^= std::uint64_t{1} << dice.below(64);
    }
  }
}

/// Two frames that see the same events, and how late each was told they were.
class TwoWays {
 public:
  TwoWays()
      : features_(all_features()),
        catalog_(kinds(), declarations(features_)),
        set_(std::move(*FeatureSet::compile(catalog_.reader()))),
        event_(set_.root_of_slot()),
        frame_(set_.frame_bytes() / 8),
        plain_(frame_.size()) {}

  void run(std::uint64_t seed, int rounds, const std::function<void()>& after_round) {
    Dice dice(seed);
    for (int round = 0; round < rounds; ++round) {
      if (dice.one_in(2)) std::fill(frame_.begin(), frame_.end(), 0);
      spoil(dice, frame_);
      plain_ = frame_;
      const bool wild = dice.one_in(3);
      std::int64_t time = dice.one_in(3) ? 0 : 1'700'000'000'000'000;
      for (int count = 0; count < 40; ++count) {
        if (dice.one_in(20)) {
          spoil(dice, frame_);
          plain_ = frame_;
        }
        time = next_time(dice, time);
        draw_event(dice, wild && dice.one_in(10) ? wild_time(dice) : time);
        const unsigned late = set_.apply(event_, bytes(frame_));
        ASSERT_EQ(late, apply_plainly()) << "round " << round << ", event " << count;
        if (frame_ != plain_) FAIL() << difference(round, count);
      }
      after_round();
    }
  }
  [[nodiscard]] const FeatureSet& set() const { return set_; }
  [[nodiscard]] const std::vector<std::uint64_t>& frame() const { return frame_; }

 private:
  static std::vector<KindDeclaration> kinds() {
    std::vector<KindDeclaration> both;
    for (const char* name : {"view", "cart"}) {
      both.push_back({name,
                      {{"item", std::string(name) + ".item", 0},
                       {"category", std::string(name) + ".category", 0},
                       {"price", std::string(name) + ".price", 0}}});
    }
    return both;
  }
  static std::uint8_t* bytes(std::vector<std::uint64_t>& words) {
    return reinterpret_cast<std::uint8_t*>(words.data());
  }

  void draw_event(Dice& dice, std::int64_t time) {
    event_.values.clear();
    event_.time_us = time;
    event_.kinds = dice.one_in(8) ? 3 : 1 + dice.below(2);
    for (std::uint32_t slot = 0; slot < 6; ++slot) {
      ASSERT_TRUE(event_.values.set(slot, 0, next_value(dice, slot % 3 != 2)));
    }
  }

  unsigned apply_plainly() {
    unsigned late = 0;
    for (std::size_t at = 0; at < features_.size(); ++at) {
      const Declared& declared = features_[at];
      const FeatureSpec& spec = set_.specs()[at];
      for (const SourceDeclaration& source : declared.feature.sources) {
        if ((event_.kinds >> source.event & 1U) == 0) continue;
        const std::uint32_t slots = source.event * 3U;
        if (declared.where && !declared.where(event_.values.get(slots + 2, 0))) continue;
        const Value value = declared.of < 3 ? event_.values.get(slots + declared.of, 0) : Value{};
        const Contribution contribution{event_.time_us, &value, source.weight};
        late += apply_column(spec, bytes(plain_) + spec.offset, contribution) == Applied::kLate;
        if (spec.type == FeatureType::kSession) break;  // one event, whatever its kinds
      }
    }
    return late;
  }

  std::string difference(int round, int count) {
    for (std::size_t at = 0; at < features_.size(); ++at) {
      const FeatureSpec& spec = set_.specs()[at];
      if (std::memcmp(bytes(frame_) + spec.offset, bytes(plain_) + spec.offset, spec.bytes) == 0) {
        continue;
      }
      return "round " + std::to_string(round) + ", event " + std::to_string(count) + ", feature " +
             std::to_string(at) + " of type " + std::to_string(static_cast<int>(spec.type)) +
             ", window " + std::to_string(spec.window_us) + ", text_bytes " +
             std::to_string(spec.text_bytes) + ", keep " + std::to_string(spec.keep);
    }
    return "beside all columns";
  }

  std::vector<Declared> features_;
  CatalogBuilder catalog_;
  FeatureSet set_;
  Event event_;
  std::vector<std::uint64_t> frame_;
  std::vector<std::uint64_t> plain_;
};

TEST(ApplyBytes, AreTheSameByStepsAndByColumn) {
  Random random;
  SCOPED_TRACE("DEJA_SEED=" + std::to_string(random.seed()));
  TwoWays ways;
  ways.run(random.seed(), 300, [] {});
}

TEST(ApplyBytes, AndThoseOfMergeAreWhatEarlierBuildsMade) {
  const std::uint64_t goldens[] = {0x7245170c9caef931, 0xcd575d959880684a, 0x2b2fa64fbb93792c,
                                   0x12f3d93d276b7d4f, 0x5fec2bb5ce542796, 0xe5e01f56c480aaec,
                                   0x9521ccb17c08f0cc, 0x4bf8207a11253654, 0x68c865643fbd320f,
                                   0xcc3498385e3e1155, 0x6b5b140843310cbe, 0xde4cc55d7a7704ed};
  std::map<FeatureType, std::uint64_t> hashes;
  TwoWays ways;
  std::vector<std::uint64_t> merged(ways.frame().size());
  const auto add = [&] {
    const auto* bytes = reinterpret_cast<const char*>(merged.data());
    for (const FeatureSpec& spec : ways.set().specs()) {
      std::uint64_t& hash = hashes[spec.type];
      hash = hash * 31 + columns::item_hash(bytes + spec.offset, spec.bytes);
    }
  };
  ways.run(20261126, 600, [&] {
    std::vector<std::uint64_t> frame = ways.frame();
    ways.set().merge(reinterpret_cast<std::uint8_t*>(frame.data()),
                     reinterpret_cast<const std::uint8_t*>(merged.data()));
    merged.swap(frame);
    add();
    merged = ways.frame();
    add();
  });
  for (const auto& [type, hash] : hashes) {
    EXPECT_EQ(hash, goldens[static_cast<int>(type)])
        << std::hex << "0x" << hash << ", type " << static_cast<int>(type);
  }
}

}  // namespace
}  // namespace deja::features
