// [events] and [features]: what there can be, and each mistake with its place.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/tools/config/config_text.h"
#include "tools/config/field_path.h"

namespace deja {
namespace {

const std::string kEvents = kNamed +
                            "[events]\n"
                            "view = { track = 'Viewed', item = 'properties.id', price = "
                            "'properties.price' }\n"
                            "order = { track = 'Ordered', item = 'properties.lines[].id', "
                            "price = 'properties.lines[].price', tag = 'properties.tags[]', "
                            "value = 'properties.value' }\n"
                            "[features]\n";  // what follows is line 7

/// One feature of that text, which has to be right.
FeatureConfig feature(const std::string& text) {
  const Config config = loaded(kEvents + "f = { " + text + " }\n");
  return config.features.empty() ? FeatureConfig{} : config.features.front();
}

TEST(ConfigEvents, AreRecognisedByCallAndName) {
  const Config config = loaded(kNamed + R"(
[events]
a = { track = "Product Viewed" }
b = { page = "*" }
c = { screen = "Home" }
d = { group = "*" }
e = { identify = true, plan = "traits.plan" }
)");
  ASSERT_EQ(config.events.size(), 5U);
  EXPECT_EQ(config.events[0].call, EventCall::kTrack);
  EXPECT_EQ(config.events[0].match, "Product Viewed");
  EXPECT_EQ(config.events[1].call, EventCall::kPage);
  EXPECT_EQ(config.events[1].match, "*");
  EXPECT_EQ(config.events[2].call, EventCall::kScreen);
  EXPECT_EQ(config.events[3].call, EventCall::kGroup);
  EXPECT_EQ(config.events[4].call, EventCall::kIdentify);
  EXPECT_EQ(config.events[4].match, "*");
  EXPECT_EQ(config.events[4].fields.at(0).path, "traits.plan");
}

TEST(ConfigEvents, ShareASlotWhereTheyShareAPath) {
  const Config config = loaded(kNamed + R"(
[events]
a = { track = "A", x = "properties.x", first = "properties.list[].a" }
b = { track = "B", other = "properties.x", second = "properties.list[].b", tag = "properties.tags[]", id = "userId" }
)");
  ASSERT_EQ(config.slots.size(), 5U);
  EXPECT_EQ(config.slots[0].path, "properties.x");
  EXPECT_EQ(config.slots[0].root, 0);
  EXPECT_EQ(config.slots[1].root, 1);
  EXPECT_EQ(config.slots[2].path, "properties.list[].b");
  EXPECT_EQ(config.slots[2].root, 1);
  EXPECT_EQ(config.slots[3].root, 2);
  EXPECT_EQ(config.slots[4].path, "userId");
}

TEST(ConfigEvents, HavePathsThatIngestCanExtract) {
  for (const char* good : {"properties.a", "properties.a-b.$c", "traits.plan", "context.page.path",
                           "userId", "anonymousId", "event", "name", "messageId", "groupId",
                           "properties.a[]", "properties.a[].b.c", "context.x[].y"}) {
    EXPECT_EQ(field_path_fault(good), "") << good;
  }
  for (const char* bad : {"", "price", "properties", "properties.", ".a", "properties..a",
                          "properties.a[].b[]", "properties[].a", "properties.a b", "userid",
                          "properties.a[0]", "properties.[]", "property.a", "integrations.x"}) {
    EXPECT_NE(field_path_fault(bad), "") << bad;
  }
  std::string deep = "properties";
  for (int i = 0; i < 16; ++i) deep += ".a";
  EXPECT_NE(field_path_fault(deep), "");
  EXPECT_NE(field_path_fault("properties." + std::string(200, 'a')), "");
}

struct Mistake {
  std::string text;
  std::string message;
};

TEST(ConfigEvents, AreReportedWhereTheyAreWrong) {
  const std::string recognisers =
      "give one of track, page, screen, group (a name or \"*\"), or identify = true";
  const std::string begin =
      "a path begins with properties., traits. or context., or is one of userId, anonymousId, "
      "event, name, messageId, groupId";
  const std::string field_rule =
      "a field's name is 1 to 64 letters, digits, _ and ., begins with a letter or _, and is not "
      "and, or, not";
  const std::vector<Mistake> list = {
      {"v = { item = 'properties.id' }",
       "4:5: [events] v: nothing says how it is recognised; " + recognisers},
      {"v = { trak = 'V' }", "4:5: [events] v: nothing says how it is recognised; " + recognisers},
      {"v = { track = 'V', page = '*' }",
       "4:27: [events] v.page: recognised by track and by page; give one of them, and the other "
       "its own entry"},
      {"v = { track = '' }",
       "4:15: [events] v.track: found \"\"; write a name of 1 to 256 bytes, or \"*\" for any"},
      {"v = { track = 3 }", "4:15: [events] v.track: found 3; write a text in quotes"},
      {"v = { identify = false }", "4:18: [events] v.identify: found false; write identify = true"},
      {"v = 'Viewed'", "4:5: [events] v: found \"Viewed\"; write a table"},
      {"v = { track = 'V', price = 'price' }", "4:28: [events] v.price: found \"price\"; " + begin},
      {"v = { track = 'V', price = 'property.price' }",
       "4:28: [events] v.price: found \"property.price\"; " + begin},
      {"v = { track = 'V', who = 'userid' }",
       "4:26: [events] v.who: found \"userid\"; " + begin + "; did you mean \"userId\"?"},
      {"v = { track = 'V', a = 'properties.a[].b[].c' }",
       "4:24: [events] v.a: found \"properties.a[].b[].c\"; a path goes over one array (\"[]\") at "
       "most"},
      {"v = { track = 'V', a = 5 }",
       "4:24: [events] v.a: found 5; a field is a path in quotes: \"properties.product_id\""},
      {"v = { track = 'V', and = 'properties.a' }",
       "4:20: [events] v: found \"and\"; " + field_rule},
      {"v = { track = 'V', a-b = 'properties.a' }",
       "4:20: [events] v: found \"a-b\"; " + field_rule},
      {"'v w' = { track = 'V' }",
       "4:1: [events]: found \"v w\"; an event's name is 1 to 64 of A-Z a-z 0-9 _ -"},
      {"'$identify' = { identify = true }",
       "4:1: [events]: found \"$identify\"; an event's name is 1 to 64 of A-Z a-z 0-9 _ -"},
  };
  for (const Mistake& mistake : list) {
    const std::vector<std::string> found = mistakes(kNamed + "[events]\n" + mistake.text + "\n");
    ASSERT_FALSE(found.empty()) << mistake.text;
    EXPECT_EQ(found.front(), "t.toml:" + mistake.message) << mistake.text;
  }
}

TEST(ConfigEvents, AreSixtyThreeAtMost) {
  std::string text = kNamed + "[events]\n";
  for (int i = 0; i < 63; ++i) text += "e" + std::to_string(i) + " = { track = 'x' }\n";
  EXPECT_TRUE(mistakes(text).empty());
  EXPECT_EQ(
      mistakes(text + "one_more = { track = 'x' }\n"),
      std::vector<std::string>{"t.toml:67:1: [events]: found 64 events; there is room for 63"});
}

TEST(ConfigEvents, HaveAtMost256DifferentPaths) {
  std::string text = kNamed + "[events]\ne = { track = 'x'";
  for (int i = 0; i < 256; ++i) {
    text += ", f" + std::to_string(i) + " = 'properties.p" + std::to_string(i) + "'";
  }
  EXPECT_TRUE(mistakes(text + " }\n").empty());
  const std::vector<std::string> found = mistakes(text + ", g = 'properties.g' }\n");
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found.front(),
            "t.toml:3:1: [events]: the fields have 257 different paths; there is room for 256");
}

TEST(ConfigFeatures, HaveTheDefaultsOfTheirType) {
  EXPECT_EQ(feature("type = 'count', event = 'view'").spec.panes, 1U);
  EXPECT_EQ(feature("type = 'count', event = 'view', window = '1h'").spec.panes, 12U);
  EXPECT_EQ(feature("type = 'count', event = 'view', window = '1h'").spec.window_us, 3'600'000'000);
  EXPECT_EQ(feature("type = 'count', event = 'view', window = '1h', tumbling = true").spec.panes,
            1U);
  EXPECT_EQ(feature("type = 'recent', event = 'view', of = 'item'").spec.keep, 16U);
  EXPECT_EQ(feature("type = 'recent', event = 'view', of = 'item'").spec.text_bytes, 48U);
  const FeatureSpec top = feature("type = 'top', event = 'view', of = 'item'").spec;
  EXPECT_EQ(top.keep, 8U);
  EXPECT_EQ(top.track, 32U);
  EXPECT_EQ(top.half_life_us, 0);
  EXPECT_EQ(feature("type = 'top', event = 'view', of = 'item', keep = 3").spec.track, 12U);
  EXPECT_EQ(feature("type = 'session'").spec.gap_us, 1'800'000'000);
}

TEST(ConfigFeatures, AreFedByTheirEventsWithTheirWeights) {
  const FeatureConfig top =
      feature("type = 'top', event = ['order', 'view'], of = 'item', weights = { order = 2.5 }");
  ASSERT_EQ(top.sources.size(), 2U);
  EXPECT_EQ(top.sources[0].event, 1);
  EXPECT_EQ(top.sources[0].weight, 2.5);
  EXPECT_EQ(top.sources[1].event, 0);
  EXPECT_EQ(top.sources[1].weight, 1);
}

TEST(ConfigFeatures, LieOneBehindTheOtherInTheDocumentsOrder) {
  const Config config = loaded(kEvents +
                               "z = { type = 'count', event = 'view' }\n"
                               "a = { type = 'recent', event = 'view', of = 'item' }\n"
                               "m = { type = 'session' }\n");
  ASSERT_EQ(config.features.size(), 3U);
  EXPECT_EQ(config.features[0].name, "z");
  EXPECT_EQ(config.features[1].name, "a");
  std::uint32_t offset = 0;
  for (const FeatureConfig& feature : config.features) {
    EXPECT_EQ(feature.spec.offset, offset);
    EXPECT_EQ(feature.spec.bytes % 8, 0U);
    offset += feature.spec.bytes;
  }
  EXPECT_EQ(config.frame_bytes, offset);
}

TEST(ConfigFeatures, OfSessionsAreFedByEveryDeclaredEvent) {
  const Config config = loaded(kEvents +
                               "t = { type = 'trait', of = 'traits.plan' }\n"
                               "s = { type = 'session' }\n");
  EXPECT_EQ(config.events.size(), 3U);
  ASSERT_EQ(config.features[1].sources.size(), 2U);
  EXPECT_EQ(config.features[1].sources[1].event, 1);
}

TEST(ConfigFeatures, OfTraitsMakeTheHiddenEventOnce) {
  const Config config =
      loaded(kEvents +
             "a = { type = 'trait', of = 'traits.plan', where = 'traits.age > 17' }\n"
             "b = { type = 'trait', of = 'traits.plan' }\n"
             "c = { type = 'trait', event = 'view', of = 'item' }\n");
  ASSERT_EQ(config.events.size(), 3U);
  EXPECT_EQ(config.events[2].name, "$identify");
  EXPECT_EQ(config.events[2].call, EventCall::kIdentify);
  EXPECT_EQ(config.events[2].match, "*");
  ASSERT_EQ(config.events[2].fields.size(), 2U);
  EXPECT_EQ(config.events[2].fields[0].name, "traits.plan");
  EXPECT_EQ(config.events[2].fields[0].path, "traits.plan");
  EXPECT_EQ(config.features[0].sources.at(0).event, 2);
  EXPECT_EQ(config.features[2].sources.at(0).event, 0);
  EXPECT_EQ(loaded(kEvents).events.size(), 2U);
}

TEST(ConfigFeatures, AreReportedWhereTheyAreWrong) {
  const std::string other = "; leave it out, or use another type";
  const std::vector<Mistake> list = {
      {"type = 'topp', event = 'view', of = 'item'",
       "7:14: [features] f: unknown type \"topp\"; did you mean \"top\"?"},
      {"type = 'banana'",
       "7:14: [features] f: unknown type \"banana\"; there are count sum min max mean first last "
       "recent top distinct session trait"},
      {"event = 'view'",
       "7:5: [features] f: no type; give type = one of count, sum, min, max, mean, first, last, "
       "recent, top, distinct, session, trait"},
      {"type = 'count'",
       "7:5: [features] f: no event; say which one feeds it: event = \"...\", or "
       "a list of them"},
      {"type = 'count', event = 'vieww'",
       "7:31: [features] f.event: unknown event \"vieww\"; did you mean \"view\"?"},
      {"type = 'count', event = 'banana'",
       "7:31: [features] f.event: unknown event \"banana\"; declare it in [events]"},
      {"type = 'count', event = []", "7:31: [features] f.event: found no event; list one at least"},
      {"type = 'count', event = ['view', 'view']",
       "7:40: [features] f.event: found \"view\"; list each event once"},
      {"type = 'count', event = 'view', keep = 3",
       "7:39: [features] f: a count takes no keep" + other},
      {"type = 'count', event = 'view', of = 'item'",
       "7:39: [features] f: a count takes no of" + other},
      {"type = 'last', event = 'view', of = 'item', window = '1h'",
       "7:51: [features] f: a last takes no window" + other},
      {"type = 'first', event = 'view', of = 'item', tumbling = true",
       "7:52: [features] f: a first takes no tumbling" + other},
      {"type = 'recent', event = 'view', of = 'item', window = '1h'",
       "7:53: [features] f: a recent takes no window" + other},
      {"type = 'session', window = '1h'", "7:25: [features] f: a session takes no window" + other},
      {"type = 'trait', of = 'traits.x', window = '1h'",
       "7:40: [features] f: a trait takes no window" + other},
      {"type = 'sum', event = 'view', of = 'price', gap = '1h'",
       "7:51: [features] f: a sum takes no gap" + other},
      {"type = 'sum', event = 'view', of = 'price', weights = { view = 2 }",
       "7:51: [features] f: a sum takes no weights" + other},
      {"type = 'sum', event = 'view'",
       "7:5: [features] f: a sum needs something to look at; give of = a field or an expression"},
      {"type = 'trait'",
       "7:5: [features] f: a trait needs something to look at; give of = \"traits.plan\""},
      {"type = 'sum', event = 'view', of = 'prize * 2'",
       "7:43: [features] f.of: unknown field 'prize' (event view); did you mean 'price'?"},
      {"type = 'sum', event = 'view', of = \"2 * prize\"",
       "7:47: [features] f.of: unknown field 'prize' (event view); did you mean 'price'?"},
      {"type = 'sum', event = 'view', of = 'price', where = 'price >'",
       "7:67: [features] f.where: expected a number, a text, a field or '(', found the end (event "
       "view)"},
      {"type = 'trait', of = 'plan'",
       "7:29: [features] f.of: unknown field 'plan' of an identify call; write its path, such as "
       "traits.plan"},
      {"type = 'sum', event = 'order', of = 'price', where = \"tag == 'x'\"",
       "7:52: [features] f.where: it goes over another array than of does (event order); both can "
       "only go over the same one"},
      {"type = 'count', event = 'order', where = 'price > 1 and tag == 2'",
       "7:63: [features] f.where: 'tag' and 'price' are of different arrays (event order); an "
       "expression can go over one"},
      {"type = 'count', event = 'view', window = '1h', panes = 65",
       "7:62: [features] f.panes: found 65; write a whole number from 1 to 64"},
      {"type = 'count', event = 'view', panes = 3",
       "7:39: [features] f: found panes without a window; give window = \"...\", or leave it out"},
      {"type = 'count', event = 'view', tumbling = true",
       "7:39: [features] f: found tumbling without a window; give window = \"...\", or leave it "
       "out"},
      {"type = 'count', event = 'view', window = '1h', panes = 3, tumbling = true",
       "7:54: [features] f: found panes and tumbling; a tumbling window is one pane: leave panes "
       "out"},
      {"type = 'count', event = 'view', window = '5us'",
       "7:39: [features] f.window: found 12 panes in 5us; a pane is at least 1us long"},
      {"type = 'count', event = 'view', window = '0s'",
       "7:48: [features] f.window: found \"0s\"; write a duration from 1us to 36525d"},
      {"type = 'count', event = 'view', window = 3600",
       "7:48: [features] f.window: found 3600; write a duration in quotes: \"200ms\", \"30s\", "
       "\"5m\", \"1h\", \"30d\""},
      {"type = 'recent', event = 'view', of = 'item', keep = 257",
       "7:60: [features] f.keep: found 257; write a whole number from 1 to 256"},
      {"type = 'recent', event = 'view', of = 'item', bytes = 3",
       "7:61: [features] f.bytes: found 3; write a whole number from 4 to 254"},
      {"type = 'top', event = 'view', of = 'item', keep = 8, track = 7",
       "7:68: [features] f.track: found 7; it shows keep = 8 keys, so it has to track at least as "
       "many"},
      {"type = 'top', event = 'view', of = 'item', half_life = '1d', window = '1d'",
       "7:50: [features] f: found half_life and window; a top fades or has a window: leave one "
       "out"},
      {"type = 'top', event = 'view', of = 'item', weights = { vieww = 2 }",
       "7:62: [features] f.weights: \"vieww\" is none of its events; did you mean \"view\"?"},
      {"type = 'top', event = 'view', of = 'item', weights = { order = 2 }",
       "7:62: [features] f.weights: \"order\" is none of its events; add it to event, or leave it "
       "out"},
      {"type = 'top', event = 'view', of = 'item', weights = { view = 0 }",
       "7:69: [features] f.weights.view: found 0; write a number above 0, up to 1e9"},
      {"type = 'top', event = 'view', of = 'item', weights = { view = nan }",
       "7:69: [features] f.weights.view: found nan; write a number above 0, up to 1e9"},
      {"type = 'session', gap = '10ms'",
       "7:31: [features] f.gap: found \"10ms\"; write a duration from 1s to 30d"},
      {"type = 'count', event = 'view', windw = '1h'",
       "7:39: [features] f: unknown key \"windw\"; did you mean \"window\"?"},
  };
  for (const Mistake& mistake : list) {
    EXPECT_EQ(mistakes(kEvents + "f = { " + mistake.text + " }\n"),
              std::vector<std::string>{"t.toml:" + mistake.message})
        << mistake.text;
  }
}

TEST(ConfigFeatures, NeedAnEventForASession) {
  EXPECT_EQ(mistakes(kNamed + "[features]\ns = { type = 'session' }\n"),
            std::vector<std::string>{
                "t.toml:4:5: [features] s: no event is declared; declare one in [events]"});
}

TEST(ConfigFeatures, FitIntoAFrame) {
  std::string text = kEvents;
  for (int i = 0; i < 3; ++i) {
    text += "t" + std::to_string(i) +
            " = { type = 'top', event = 'view', of = 'item', keep = 256, bytes = 16 }\n";
  }
  EXPECT_EQ(mistakes(text),
            std::vector<std::string>{
                "t.toml:6:1: [features]: with t2 a profile has more than 65536 bytes; keep, track, "
                "panes or bytes of the large ones have to be smaller"});
}

}  // namespace
}  // namespace deja
