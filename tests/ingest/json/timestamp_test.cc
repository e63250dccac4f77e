#include "ingest/timestamp.h"

#include <gtest/gtest.h>

namespace deja {
namespace {

constexpr std::int64_t kDay = 86'400'000'000;

TEST(Timestamp, IsReadInEveryFormThatClientsWrite) {
  const struct {
    const char* text;
    std::int64_t microseconds;
  } cases[] = {
      {"1970-01-01T00:00:00Z", 0},
      {"1970-01-01", 0},
      {"1970-01-02", kDay},
      {"2000-03-01T00:00:00Z", 951'868'800'000'000},
      {"2026-11-20T20:25:54Z", 1'795'206'354'000'000},
      {"2026-11-20T20:25:54.1Z", 1'795'206'354'100'000},
      {"2026-11-20T20:25:54.123Z", 1'795'206'354'123'000},
      {"2026-11-20T20:25:54.123456789Z", 1'795'206'354'123'456},
      {"2026-11-20T20:25:54,5Z", 1'795'206'354'500'000},
      {"2026-11-20t20:25:54z", 1'795'206'354'000'000},
      {"2026-11-20 20:25:54", 1'795'206'354'000'000},
      {"2026-11-20T20:25:54", 1'795'206'354'000'000},
      {"2026-11-20T22:25:54+02:00", 1'795'206'354'000'000},
      {"2026-11-20T22:25:54+0200", 1'795'206'354'000'000},
      {"2026-11-20T22:25:54+02", 1'795'206'354'000'000},
      {"2026-11-20T16:55:54-03:30", 1'795'206'354'000'000},
      {"2026-11-20T20:25Z", 1'795'206'300'000'000},
      {"2026-11-20T202554Z", 1'795'206'354'000'000},
      {"2026-11-20T24:00:00Z", 1'795'219'200'000'000},
      {"2016-12-31T23:59:60Z", 1'483'228'800'000'000},
      {"2024-02-29", 1'709'164'800'000'000},
      {"9999-12-31T23:59:59.999999Z", kTimestampEndUs - 1},
  };
  for (const auto& wanted : cases) {
    const auto time = parse_timestamp(wanted.text);
    ASSERT_TRUE(time.has_value()) << wanted.text;
    EXPECT_EQ(*time, wanted.microseconds) << wanted.text;
  }
}

TEST(Timestamp, IsRefusedWhereItSaysNothingOrNonsense) {
  const char* cases[] = {"",
                         "now",
                         "2026",
                         "2026-11",
                         "2026-13-01",
                         "2026-00-01",
                         "2026-02-29",
                         "2026-11-31",
                         "26-11-20",
                         "2026-11-20T",
                         "2026-11-20T25:00:00Z",
                         "2026-11-20T24:00:01Z",
                         "2026-11-20T20:60:00Z",
                         "2026-11-20T20:25:61Z",
                         "2026-11-20T20:25:54.Z",
                         "2026-11-20T20:25:54.1234567890Z",
                         "2026-11-20T20:25:54Zz",
                         "2026-11-20T20:25:54+",
                         "2026-11-20T20:25:54+2",
                         "2026-11-20T20:25:54+24:00",
                         "2026-11-20T20:25:54+02:60",
                         "2026-11-20T20:25:54 Z",
                         " 2026-11-20",
                         "2026-11-20 ",
                         "2026/11/20",
                         "1969-12-31T23:59:59Z",
                         "1970-01-01T00:00:00+00:01",
                         "10000-01-01",
                         "9999-12-31T23:59:60Z",
                         "1795206354123",
                         "Fri Nov 20 2026"};
  for (const char* text : cases) EXPECT_FALSE(parse_timestamp(text).has_value()) << text;
}

TEST(Timestamp, CanBeMillisecondsSinceTheEpoch) {
  EXPECT_EQ(timestamp_of_milliseconds(0), 0);
  EXPECT_EQ(timestamp_of_milliseconds(1795206354123), 1'795'206'354'123'000);
  EXPECT_EQ(timestamp_of_milliseconds(1.5), 1500);
  EXPECT_FALSE(timestamp_of_milliseconds(-1).has_value());
  EXPECT_FALSE(timestamp_of_milliseconds(1e300).has_value());
  EXPECT_FALSE(timestamp_of_milliseconds(253402300800000.0).has_value());
}

}  // namespace
}  // namespace deja
