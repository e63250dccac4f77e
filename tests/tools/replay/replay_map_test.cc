#include "tools/replay/replay_map.h"

#include <gtest/gtest.h>

#include <string>

namespace deja {
namespace {

constexpr const char* kWhole = R"(format = "csv"
separator = ";"
user = "CustomerID:integer"
time = { column = "When", format = "%Y-%m-%d" }
id = ["Invoice", "#row"]
[[event]]
when = "Quantity > 0"
track = "Order Completed"
properties = { price = "Price:number", n = 3, total = "=Price * Quantity", list = [{ id = "Item" }] }
[[event]]
type = "identify"
traits = { plan = "Plan" }
)";

TEST(ReplayMap, IsReadWithAllItsKeys) {
  const auto map = ReplayMap::parse(kWhole, "m.toml");
  ASSERT_TRUE(map.ok()) << map.error().message();
  EXPECT_EQ(map->separator, ';');
  EXPECT_EQ(map->events.size(), 2U);
  EXPECT_EQ(map->events[0].type, "track");
  EXPECT_EQ(map->events[0].properties.size(), 4U);
  EXPECT_TRUE(map->events[0].when.has_value());
  EXPECT_EQ(map->events[1].type, "identify");
  EXPECT_EQ(map->id.size(), 2U);
  EXPECT_EQ(map->columns[0].name, "CustomerID");
}

TEST(ReplayMap, KeepsAColonThatBelongsToAColumn) {
  const auto map = ReplayMap::parse(
      "format = \"csv\"\nuser = \"ns:user\"\ntime = \"t\"\n[[event]]\ntrack = \"x\"\n", "m.toml");
  ASSERT_TRUE(map.ok()) << map.error().message();
  EXPECT_EQ(map->columns[0].name, "ns:user");
}

struct MistakeCase {
  const char* what;
  std::string map;
  const char* place;  ///< line:column
  const char* said;
};

std::string with(const std::string& from, const std::string& to) {
  std::string map = kWhole;
  map.replace(map.find(from), from.size(), to);
  return map;
}

TEST(ReplayMap, NamesEveryMistakeWithItsPlace) {
  const MistakeCase cases[] = {
      {"TOML", with("id = [", "id = ]"), "5:", "m.toml"},
      {"no format", with("format = \"csv\"\n", "\n"), "1:1:", "no format"},
      {"format", with("\"csv\"", "\"cvs\""), "1:10", "did you mean \"csv\""},
      {"unknown key", with("separator", "seperator"), "2:1", "did you mean \"separator\""},
      {"separator", with("\";\"", "\";;\""), "2:13", "one byte"},
      {"no user", with("user = \"CustomerID:integer\"\n", "\n"), "1:1:", "names no user"},
      {"cast", with(":integer", ":integr"), "3:8", "did you mean \"integer\""},
      {"user", with("\"CustomerID:integer\"", "7"), "3:8", "not a text"},
      {"no time", with("time = ", "#"), "1:1:", "names no time"},
      {"time's key", with("format = \"%Y", "fromat = \"%Y"), "4:27", "did you mean \"format\""},
      {"time's format", with("%Y-%m-%d", "YYYY"), "4:36", "no field"},
      {"time's unit", with("format = \"%Y-%m-%d\"", "unit = \"h\""), "4:34", "unknown unit"},
      {"id", with("[\"Invoice\", \"#row\"]", "\"Invoice\""), "5:6", "not a list"},
      {"id's part", with("#row", "#line"), "5:18", "#row"},
      {"when", with("Quantity > 0", "Quantity > "), "7:", ""},
      {"two calls", with("track = \"Order", "page = \"p\"\ntrack = \"Order"), "8:", "both"},
      {"no call", with("type = \"identify\"", ""), "", "no call"},
      {"type", with("\"identify\"", "\"alias\""), "11:8", "type is"},
      {"properties", with("{ plan = \"Plan\" }", "\"Plan\""), "12:10", "not a table"},
      {"expression", with("=Price * Quantity", "=Price *"), "9:", ""},
      {"brace", with("CustomerID:integer", "{CustomerID"), "3:8", "without \"}\""},
      {"each of csv", with("separator = \";\"", "each = \"events\""), "2:8", "for jsonl"},
      {"a date", with("n = 3", "n = 2026-01-01"), "9:", "date"},
  };
  for (const MistakeCase& mistake : cases) {
    const auto map = ReplayMap::parse(mistake.map, "m.toml");
    ASSERT_FALSE(map.ok()) << mistake.what;
    const std::string message = map.error().message();
    EXPECT_TRUE(message.starts_with(std::string("m.toml:") + mistake.place))
        << mistake.what << ": " << message;
    EXPECT_NE(message.find(mistake.said), std::string::npos) << mistake.what << ": " << message;
  }
}

}  // namespace
}  // namespace deja
