// The bytes of columns lie in Redis, in journals and in other processes' memory. This holds them
// still: whoever changes a column's bytes must raise kColumnLayoutVersion, and then these values.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "shm/columns/item_hash.h"
#include "tests/workers/features/random_events.h"

namespace deja::features {
namespace {

struct Golden {
  const char* name;
  FeatureSpec spec;
  std::uint32_t bytes;
  std::uint64_t hash;  ///< of the column after the events below
};

FeatureSpec windowed(FeatureType type, std::int64_t window_us, std::int64_t half_life_us = 0) {
  FeatureSpec spec;
  spec.type = type;
  spec.window_us = window_us;
  spec.panes = window_us == 0 ? 1 : 12;
  spec.keep = 3;
  spec.track = 5;
  spec.text_bytes = 11;
  spec.half_life_us = half_life_us;
  spec.gap_us = 100;
  return spec;
}

TEST(GoldenColumns, KeepTheirBytes) {
  const Golden goldens[] = {
      {"count", windowed(FeatureType::kCount, 0), 8, 0xbd4e5ee11a43ef0f},
      {"count in a window", windowed(FeatureType::kCount, 1200), 56, 0x1a1e6ef7e92ef693},
      {"sum", windowed(FeatureType::kSum, 1200), 104, 0xccec41c2f7f28904},
      {"min", windowed(FeatureType::kMin, 1200), 104, 0xb98c9ed68ba8c69e},
      {"max", windowed(FeatureType::kMax, 0), 8, 0x08c677a8b5e0a8da},
      {"mean", windowed(FeatureType::kMean, 1200), 152, 0xc3e2d2c541cacf60},
      {"first", windowed(FeatureType::kFirst, 0), 24, 0xe14b1079c6bf1c19},
      {"last", windowed(FeatureType::kLast, 0), 24, 0xd06d143e555ec347},
      {"recent", windowed(FeatureType::kRecent, 0), 64, 0x9870bbf3ba13f3fe},
      {"top", windowed(FeatureType::kTop, 0), 120, 0x6bb1ebd8799d4f93},
      {"top that decays", windowed(FeatureType::kTop, 0, 250), 120, 0xeefe90dce131befa},
      {"top in a window", windowed(FeatureType::kTop, 1200), 560, 0x47f7eb79e31e5fff},
      {"distinct", windowed(FeatureType::kDistinct, 1200), 1872, 0xc270daa1470e5f6b},
      {"session", windowed(FeatureType::kSession, 0), 56, 0xb38722060fc363e7},
      {"trait", windowed(FeatureType::kTrait, 0), 24, 0xd06d143e555ec347},
  };
  ASSERT_EQ(kColumnLayoutVersion, 1U);
  for (const Golden& golden : goldens) {
    ASSERT_EQ(spec_fault(golden.spec), nullptr) << golden.name;
    ASSERT_EQ(column_bytes(golden.spec), golden.bytes) << golden.name;
    Column column(golden.spec);
    for (int at = 0; at < 60; ++at) {
      reference::Sent sent;
      sent.time = 1'000'000 + at * 37 % 1500;
      sent.weight = 1 + at % 3;
      sent.kind = at % 4 == 0 ? 't' : 'n';
      sent.number = at % 7 - 2.5;
      sent.text = "item " + std::to_string(at % 5);
      (void)column.apply(sent);
    }
    EXPECT_EQ(columns::item_hash(reinterpret_cast<const char*>(column.bytes()), golden.bytes),
              golden.hash)
        << golden.name;
  }
}

}  // namespace
}  // namespace deja::features
