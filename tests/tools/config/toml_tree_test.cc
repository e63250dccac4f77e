// The pieces below the config: places in a document, durations, instants, addresses.
#include "tools/config/toml_tree.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <random>
#include <string>

#include "tests/support/seed.h"
#include "tests/tools/config/config_text.h"
#include "tools/config/duration.h"
#include "tools/config/listen_address.h"

namespace deja {
namespace {

/// "line:column" of a byte of the text that is the value of `a`.
std::string place(const std::string& document, std::size_t offset) {
  const auto parsed = parse_toml(document);
  const TomlPlace place = place_in_text(document, *std::get<TomlValue>(parsed).find("a"), offset);
  return std::to_string(place.line) + ":" + std::to_string(place.column);
}

TEST(TomlTree, KeepsTheDocumentsOrderAndPlaces) {
  const auto parsed = parse_toml("z = 1\n[b]\ny.x = [2, 'q']\n");
  const TomlValue& root = std::get<TomlValue>(parsed);
  ASSERT_EQ(root.entries.size(), 2U);
  EXPECT_EQ(root.entries[0].key, "z");
  EXPECT_EQ(root.entries[0].value.place.column, 5U);
  const TomlValue* list = root.find("b")->find("y")->find("x");
  ASSERT_NE(list, nullptr);
  EXPECT_EQ(list->elements.at(1).place.line, 3U);
  EXPECT_EQ(list->elements.at(1).place.column, 11U);
  EXPECT_EQ(root.find("c"), nullptr);
}

TEST(TomlTree, FindsPlacesInsideOfTexts) {
  EXPECT_EQ(place("a = 'xyz'", 0), "1:6");
  EXPECT_EQ(place("a = 'xyz'", 2), "1:8");
  EXPECT_EQ(place("a = 'xyz'", 3), "1:9");
  EXPECT_EQ(place("a = \"x\\\"yz\"", 2), "1:9");           // x \" y
  EXPECT_EQ(place("a = \"x\\u00e9yz\"", 3), "1:13");       // x \u00e9 (2 bytes) y
  EXPECT_EQ(place("a = \"x\\U0001F600yz\"", 5), "1:17");   // 4 bytes
  EXPECT_EQ(place("a = 'x\xc3\xa9yz'", 3), "1:8");         // columns are characters
  EXPECT_EQ(place("a = \"\"\"\nx\ny z\"\"\"", 4), "3:3");  // x \n y ' ' z
  EXPECT_EQ(place("a = '''x\ny'''", 2), "2:1");
  EXPECT_EQ(place("a = \"\"\"x\\\n   y\"\"\"", 1), "1:9");  // at the fold
  EXPECT_EQ(place("\n\n  a = 'xyz'", 1), "3:9");
}

TEST(TomlTree, SurvivesRubbish) {
  static const std::vector<std::string> kPieces = {"[",
                                                   "]",
                                                   "[[",
                                                   "]]",
                                                   "{",
                                                   "}",
                                                   "=",
                                                   "a",
                                                   "b.c",
                                                   "'",
                                                   "\"",
                                                   "'''",
                                                   "\"\"\"",
                                                   "\\",
                                                   "\n",
                                                   " ",
                                                   ",",
                                                   "1",
                                                   "-",
                                                   "1e9",
                                                   "2026-01-01",
                                                   "true",
                                                   "#",
                                                   ".",
                                                   "\xff",
                                                   "\xc3\xa9",
                                                   "\r",
                                                   "appliance",
                                                   "name = 'x'\n",
                                                   "[features]\n",
                                                   "[events]\n",
                                                   "x = { type = 'count' }\n",
                                                   "inf"};
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (std::uint64_t left = random() % 20; left > 0; --left) {
      text += kPieces[random() % kPieces.size()];
    }
    (void)load_config_text(text, "t", test_options());
  }
}

TEST(Duration, IsAWholeNumberAndAUnit) {
  EXPECT_EQ(parse_duration("1us"), 1);
  EXPECT_EQ(parse_duration("200ms"), 200'000);
  EXPECT_EQ(parse_duration("30s"), 30'000'000);
  EXPECT_EQ(parse_duration("5m"), 300'000'000);
  EXPECT_EQ(parse_duration("1h"), 3'600'000'000);
  EXPECT_EQ(parse_duration("90d"), std::int64_t{7'776'000'000'000});
  EXPECT_EQ(parse_duration("2w"), std::int64_t{1'209'600'000'000});
  EXPECT_EQ(parse_duration("0s"), 0);
  for (const char* bad : {"", "s", "1", "1 s", "-1s", "+1s", "1.5h", "1S", "1hh", "1mo", "1h30m",
                          "36526d", "9223372036854775807d", "99999999999999999999s"}) {
    EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
  }
}

TEST(Duration, IsSaidInItsLargestWholeUnit) {
  EXPECT_EQ(duration_text(0), "0s");
  EXPECT_EQ(duration_text(1'500'000), "1500ms");
  EXPECT_EQ(duration_text(7'200'000'000), "2h");
  EXPECT_EQ(duration_text(std::int64_t{14} * 86'400'000'000), "14d");
}

TEST(Offset, MayHaveASign) {
  EXPECT_EQ(parse_offset("-2h"), -7'200'000'000);
  EXPECT_EQ(parse_offset("+1s"), 1'000'000);
  EXPECT_EQ(parse_offset("1s"), 1'000'000);
  EXPECT_EQ(parse_offset("--1s"), std::nullopt);
}

TEST(Instant, IsRfc3339) {
  EXPECT_EQ(parse_instant("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(parse_instant("2026-01-01T12:00:00Z"), std::int64_t{1'767'268'800'000'000});
  EXPECT_EQ(parse_instant("2026-01-01T13:00:00+01:00"), std::int64_t{1'767'268'800'000'000});
  EXPECT_EQ(parse_instant("2026-01-01 11:30:00.25-00:30"), std::int64_t{1'767'268'800'250'000});
  EXPECT_EQ(parse_instant("2024-02-29T00:00:00z"), std::int64_t{1'709'164'800'000'000});
  EXPECT_EQ(parse_instant("1969-12-31T23:59:59.5Z"), -500'000);
  for (const char* bad : {"", "2026-01-01", "2026-01-01T12:00:00", "2026-02-29T00:00:00Z",
                          "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
                          "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Zx", "x"}) {
    EXPECT_EQ(parse_instant(bad), std::nullopt) << bad;
  }
}

TEST(ListenAddress, KnowsWhatOnlyThisHostReaches) {
  const auto is_local = [](std::string_view text) {
    return std::get<ListenAddress>(parse_listen_address(text)).is_local;
  };
  EXPECT_TRUE(is_local("127.0.0.1:80"));
  EXPECT_TRUE(is_local("127.200.0.9:80"));
  EXPECT_TRUE(is_local("[::1]:80"));
  EXPECT_TRUE(is_local("unix:/x"));
  EXPECT_FALSE(is_local("0.0.0.0:80"));
  EXPECT_FALSE(is_local("[::]:80"));
  EXPECT_FALSE(is_local("128.0.0.1:80"));
  EXPECT_FALSE(is_local("[::ffff:10.0.0.1]:80"));
}

}  // namespace
}  // namespace deja
