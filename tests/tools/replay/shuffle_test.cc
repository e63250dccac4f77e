#include "tools/replay/shuffle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tools/replay/time_text.h"

namespace deja {
namespace {

std::uint64_t seed() {
  const char* text = std::getenv("DEJA_SEED");
  const std::uint64_t value = text != nullptr ? std::strtoull(text, nullptr, 10) : 20260203;
  std::printf("DEJA_SEED=%llu\n", static_cast<unsigned long long>(value));
  return value;
}

std::vector<std::int64_t> shuffled(const std::vector<std::int64_t>& times, std::int64_t within_us,
                                   std::uint64_t from_seed) {
  Shuffle shuffle(within_us, from_seed);
  std::vector<std::int64_t> out;
  const auto drain = [&] {
    while (auto event = shuffle.take()) out.push_back(event->time_us);
  };
  for (const std::int64_t time : times) {
    ReplayEvent event;
    event.time_us = time;
    shuffle.add(std::move(event));
    drain();
  }
  shuffle.end();
  drain();
  return out;
}

TEST(Shuffle, KeepsTheOrderOfEventsFurtherApartAndLosesNone) {
  std::mt19937_64 random(seed());
  std::vector<std::int64_t> times;
  for (int at = 0; at < 5000; ++at) times.push_back(static_cast<std::int64_t>(random() % 100'000));
  std::sort(times.begin(), times.end());
  constexpr std::int64_t kWithinUs = 1000;
  const std::vector<std::int64_t> out = shuffled(times, kWithinUs, random());
  EXPECT_NE(out, times);
  std::int64_t newest = 0;
  for (const std::int64_t time : out) {
    EXPECT_LE(newest - time, kWithinUs);
    newest = std::max(newest, time);
  }
  std::vector<std::int64_t> sorted = out;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(sorted, times);
}

TEST(Shuffle, IsTheSameForTheSameSeed) {
  const std::vector<std::int64_t> times = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  EXPECT_EQ(shuffled(times, 5, 7), shuffled(times, 5, 7));
}

TEST(Shuffle, LeavesTheFilesOrderWhereNothingIsAskedFor) {
  const std::vector<std::int64_t> times = {3, 1, 2, 2};
  EXPECT_EQ(shuffled(times, 0, 7), times);
}

TEST(TimeText, ReadsWhatPeopleWriteForAMoment) {
  constexpr std::int64_t kNow = 1'000'000'000'000;
  EXPECT_EQ(parse_moment("now", kNow), kNow);
  EXPECT_EQ(parse_moment("-2h", kNow), kNow - 7'200'000'000);
  EXPECT_EQ(parse_moment("+1d", kNow), kNow + 86'400'000'000);
  EXPECT_EQ(parse_moment("1970-01-01T00:00:01Z", kNow), 1'000'000);
  EXPECT_FALSE(parse_moment("yesterday", kNow));
  EXPECT_FALSE(parse_moment("", kNow));
}

TEST(TimeText, ReadsAFormatWholeOrNotAtAll) {
  EXPECT_EQ(parse_time("1970-01-02", "%Y-%m-%d"), 86'400'000'000);
  EXPECT_EQ(parse_time("1970-01-01 02:00 +0200", "%Y-%m-%d %H:%M %z"), 0);
  EXPECT_FALSE(parse_time("1970-01-02x", "%Y-%m-%d"));
  EXPECT_FALSE(parse_time("2011-02-31", "%Y-%m-%d"));
  EXPECT_EQ(parse_time("1700000000", "%s"), 1'700'000'000'000'000);
  EXPECT_FALSE(parse_time("9223372036854775807", "%s"));
}

}  // namespace
}  // namespace deja
