// Frames come back from Redis, from disk and from other processes: any bytes at all must be safe to
// finish, to apply to and to merge, and finish as something finite. Guard bytes around each column
// (and the sanitizers) see whoever leaves it.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "shm/value_json.h"
#include "tests/workers/features/random_events.h"

namespace deja::features {
namespace {

constexpr std::uint8_t kGuard = 0xA7;

std::vector<FeatureSpec> all_specs() {
  std::vector<FeatureSpec> specs;
  for (int type = 0; type <= static_cast<int>(FeatureType::kTrait); ++type) {
    for (const std::int64_t window :
         {std::int64_t{0}, std::int64_t{1200}, columns::kDurationMaxUs}) {
      for (const std::uint32_t panes : {1U, 12U, 64U}) {
        FeatureSpec spec;
        spec.type = static_cast<FeatureType>(type);
        spec.window_us = window;
        spec.panes = panes;
        spec.keep = 3;
        spec.track = 5;
        spec.text_bytes = 7;
        spec.gap_us = panes == 1 ? columns::kDurationMaxUs : 100;
        spec.half_life_us = window == 0 && panes == 1 ? 0 : 60;
        if (spec_fault(spec) == nullptr) specs.push_back(spec);
        spec.half_life_us = 0;
        if (spec_fault(spec) == nullptr) specs.push_back(spec);
      }
    }
    FeatureSpec decaying;
    decaying.type = FeatureType::kTop;
    decaying.keep = 3;
    decaying.track = 5;
    decaying.text_bytes = 7;
    decaying.half_life_us = 60;
    specs.push_back(decaying);
  }
  return specs;
}

struct Guarded {
  Guarded(Random& random, const FeatureSpec& spec) : bytes(column_bytes(spec) + 64, kGuard) {
    const std::int64_t style = random.between(0, 3);
    for (std::size_t at = 32; at < bytes.size() - 32; ++at) {
      bytes[at] = static_cast<std::uint8_t>(style == 0   ? 0xFF
                                            : style == 1 ? random.between(0, 1) * 0x80
                                            : style == 2 ? random.between(0, 3)
                                                         : random.between(0, 255));
    }
  }
  [[nodiscard]] std::uint8_t* column() { return bytes.data() + 32; }
  void expect_guards() const {
    for (std::size_t at = 0; at < 32; ++at) {
      ASSERT_EQ(bytes[at], kGuard);
      ASSERT_EQ(bytes[bytes.size() - 1 - at], kGuard);
    }
  }
  std::vector<std::uint8_t> bytes;
};

TEST(HostileFrame, AnyBytesAreSafeAndFinishAsSomethingFinite) {
  Random random;
  for (const FeatureSpec& spec : all_specs()) {
    for (int round = 0; round < 40; ++round) {
      SCOPED_TRACE("type " + std::to_string(static_cast<int>(spec.type)) + ", round " +
                   std::to_string(round) + ", DEJA_SEED=" + std::to_string(random.seed()));
      Guarded ours(random, spec);
      Guarded theirs(random, spec);
      Draw draw;
      draw.middle = round % 4 == 0   ? columns::kInstantLimit - 500
                    : round % 4 == 1 ? -columns::kInstantLimit
                                     : 0;
      for (int event = 0; event < 20; ++event) {
        reference::Sent sent = random_event(random, draw);
        if (random.one_in(10)) sent.time = random.one_in(2) ? INT64_MAX : INT64_MIN;
        const Value value = value_of(sent);
        (void)features::apply_column(spec, ours.column(), {sent.time, &value, sent.weight});
        if (event == 10) merge_column(spec, ours.column(), theirs.column());
        for (const std::int64_t at : {sent.time, INT64_MIN, INT64_MAX, std::int64_t{0}}) {
          for (Guarded* frame : {&ours, &theirs}) {
            ASSERT_TRUE(std::isfinite(finish_number(spec, frame->column(), at).number));
            (void)is_estimate(spec, frame->column(), at);
            std::string json;
            append_feature_json(json, spec, frame->column(), at);
            ASSERT_FALSE(json.empty());
          }
        }
      }
      ours.expect_guards();
      theirs.expect_guards();
    }
  }
}

TEST(HostileFrame, AColumnThatDoesNotFitIsRefused) {
  FeatureSpec spec;
  spec.type = FeatureType::kCount;
  spec.bytes = column_bytes(spec);
  EXPECT_TRUE(column_fits(spec, 8));
  EXPECT_FALSE(column_fits(spec, 7));
  spec.offset = 8;
  EXPECT_FALSE(column_fits(spec, 8));
  EXPECT_TRUE(column_fits(spec, 16));
  spec.offset = 0xFFFFFFF8U;
  EXPECT_FALSE(column_fits(spec, 16));
  spec.offset = 4;
  EXPECT_FALSE(column_fits(spec, 16));
  spec.offset = 0;
  spec.bytes = 16;
  EXPECT_FALSE(column_fits(spec, 16));
  spec.bytes = 8;
  spec.type = static_cast<FeatureType>(12);
  EXPECT_FALSE(column_fits(spec, 16));
}

}  // namespace
}  // namespace deja::features
