#include "ingest/rate_limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace deja {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;
std::int64_t fake_now_ns = 0;

class RateLimitsTest : public testing::Test {
 protected:
  RateLimitsTest() { fake_now_ns = 5 * kSecondNs; }
  static RateLimits::Options options(std::uint64_t address, std::uint64_t key) {
    RateLimits::Options made;
    made.address_events_per_s = address;
    made.key_events_per_s = key;
    made.key_count = 2;
    made.clock_ns = [] { return fake_now_ns; };
    return made;
  }
  static PeerAddress address(const std::string& text) { return PeerAddress::parse(text).value(); }
};

TEST_F(RateLimitsTest, ABucketHoldsWhatASecondBrings) {
  RateLimits limits(options(10, 0));
  const PeerAddress one = address("192.0.2.1");
  int taken = 0;
  while (limits.address_pause_s(one) == 0 && taken < 100) {
    limits.charge_address(one, 1);
    ++taken;
  }
  EXPECT_EQ(taken, 10);
  EXPECT_EQ(limits.address_pause_s(one), 1U);
  EXPECT_EQ(limits.address_pause_s(address("192.0.2.2")), 0U) << "its neighbour";
  fake_now_ns += kSecondNs / 10;
  EXPECT_EQ(limits.address_pause_s(one), 0U);
  limits.charge_address(one, 1);
  EXPECT_EQ(limits.address_pause_s(one), 1U);
  fake_now_ns += 100 * kSecondNs;
  taken = 0;
  while (limits.address_pause_s(one) == 0 && taken < 100) {
    limits.charge_address(one, 1);
    ++taken;
  }
  EXPECT_EQ(taken, 10) << "however long it was idle";
}

TEST_F(RateLimitsTest, ABatchBeyondTheRateIsTakenAndPaidFor) {
  RateLimits limits(options(100, 0));
  const PeerAddress one = address("192.0.2.1");
  limits.charge_address(one, 1000);
  EXPECT_EQ(limits.address_pause_s(one), 10U);
  fake_now_ns += 9 * kSecondNs;
  EXPECT_EQ(limits.address_pause_s(one), 1U);
  fake_now_ns += 1;
  EXPECT_EQ(limits.address_pause_s(one), 0U);
}

TEST_F(RateLimitsTest, KeysAreCountedByThemselves) {
  RateLimits limits(options(0, 5));
  limits.charge_key(1, 5);
  EXPECT_EQ(limits.key_pause_s(1), 1U);
  EXPECT_EQ(limits.key_pause_s(0), 0U);
  limits.charge_key(-1, 500);
  EXPECT_EQ(limits.key_pause_s(-1), 0U);
  limits.charge_address(address("192.0.2.1"), 1000);
  EXPECT_EQ(limits.address_pause_s(address("192.0.2.1")), 0U) << "no limit is set";
}

TEST_F(RateLimitsTest, WhoHasNoAddressHasNoLimit) {
  RateLimits limits(options(1, 0));
  limits.charge_address(PeerAddress(), 1000);
  EXPECT_EQ(limits.address_pause_s(PeerAddress()), 0U);
}

TEST_F(RateLimitsTest, AnIPv6NetworkIsOneClient) {
  RateLimits limits(options(1, 0));
  limits.charge_address(address("2001:db8:1:2::1"), 5);
  EXPECT_GT(limits.address_pause_s(address("2001:db8:1:2:ffff::9")), 0U);
  EXPECT_EQ(limits.address_pause_s(address("2001:db8:1:3::1")), 0U);
}

// All meet in one set of four places.
TEST_F(RateLimitsTest, WhoCyclesThroughAddressesGetsNoMoreThanATableFull) {
  RateLimits::Options made = options(10, 0);
  made.address_sets = 1;
  RateLimits limits(made);
  int taken = 0;
  for (int number = 0; number < 2000; ++number) {
    const PeerAddress next =
        address("10.0." + std::to_string(number / 250) + "." + std::to_string(number % 250));
    if (limits.address_pause_s(next) == 0) {
      limits.charge_address(next, 1);
      ++taken;
    }
    if (limits.address_pause_s(next) != 0) break;
  }
  EXPECT_LE(taken, 40) << "four buckets of ten";
  EXPECT_GE(taken, 4);
}

TEST_F(RateLimitsTest, ThreadsShareABucket) {
  RateLimits limits(options(1'000'000, 0));
  const PeerAddress one = address("192.0.2.1");
  limits.charge_address(one, 1);
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      ++ready;
      while (ready.load() != 4) std::this_thread::yield();
      for (int round = 0; round < 1'000'000; ++round) limits.charge_address(one, 5);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(limits.address_pause_s(one), 20U) << "no charge is lost";
}

}  // namespace
}  // namespace deja
