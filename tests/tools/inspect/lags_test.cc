#include "tools/inspect/lags.h"

#include <gtest/gtest.h>

#include <cstring>

#include "ring/spsc_ring.h"
#include "shm/consumed_layout.h"
#include "tests/support/segment_fixture.h"

namespace deja {
namespace {

constexpr std::int64_t kNowUs = 1'800'000'000'000'000;
constexpr std::int64_t kHourUs = 3'600'000'000;

class LagsTest : public testing::Test {
 protected:
  /// Lays an event into ring-0-0 as ingest does: its first field is when it was received.
  void receive(std::int64_t received_us) {
    std::uint8_t* payload = producer_.claim(64);
    ASSERT_NE(payload, nullptr);
    std::memset(payload, 0, 64);
    std::memcpy(payload + 8, &received_us, sizeof received_us);
    producer_.commit(64, 1);
    producer_.publish();
  }
  [[nodiscard]] Lag lag() const { return ring_lags(fixture_.segment(), kNowUs).front(); }

  SegmentFixture fixture_;
  MappedFile& ring_ = fixture_.file("ring-0-0");
  RingProducer producer_{
      ring_.data(), ring_.bytes(),
      &consumed_ring(fixture_.file("consumed-0").at<ConsumedLayout>(), 0)->position};
};

TEST_F(LagsTest, AnEmptyRingHasNoAge) {
  EXPECT_EQ(lag().waiting_records, 0U);
  EXPECT_EQ(lag().oldest_age_us, 0);
}

TEST_F(LagsTest, TheOldestThatWaitsGivesTheAgeHoweverOldItIs) {
  receive(kNowUs - 30 * 24 * kHourUs);
  receive(kNowUs - 5);
  EXPECT_EQ(lag().waiting_records, 2U);
  EXPECT_EQ(lag().oldest_age_us, 30 * 24 * kHourUs);
}

TEST_F(LagsTest, AnInstantThatMakesNoSenseIsNoAge) {
  receive(kNowUs + kHourUs);
  EXPECT_EQ(lag().oldest_age_us, 0);
  EXPECT_EQ(lag().waiting_records, 1U);
}

}  // namespace
}  // namespace deja
