// [[test]] blocks, the memory that is said, and what `deja validate` prints and returns.
#include "tools/validate.h"

#include <capnp/serialize.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include "shm/catalog.capnp.h"
#include "tests/tools/config/config_text.h"
#include "tools/config/json_value.h"
#include "tools/config/memory_plan.h"
#include "tools/config/run_tests.h"
#include "tools/config/segment_plan.h"

namespace deja {
namespace {

const std::string kShop = kNamed + R"([events]
view = { track = "Viewed", item = "properties.id", price = "properties.price" }
any = { track = "*" }
order = { track = "Ordered", item = "properties.lines[].id", price = "properties.lines[].price" }
[features]
views_1h = { type = "count", event = "view", window = "1h" }
all = { type = "count", event = "any" }
recent = { type = "recent", event = "view", of = "item" }
spend = { type = "sum", event = "order", of = "price" }
plan = { type = "trait", of = "traits.plan" }
session = { type = "session" }
last = { type = "last", event = "view", of = "price" }
)";  // what follows is line 15

std::vector<TestOutcome> outcomes(const std::string& tests) {
  const Config config = loaded(kShop + tests);
  const Result<std::vector<TestOutcome>> result = run_tests(config);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message());
  return result.ok() ? result.value() : std::vector<TestOutcome>{};
}

/// "passed", or every mismatch.
std::string outcome(const std::string& test) {
  std::string text;
  for (const TestOutcome& each : outcomes("[[test]]\n" + test)) {
    for (const TestMismatch& mismatch : each.mismatches) {
      text += mismatch.feature + " " + mismatch.expected + " " + mismatch.seen + ";";
    }
  }
  return text.empty() ? "passed" : text;
}

TEST(ConfigTests, RunOnTheRealFeatures) {
  EXPECT_EQ(outcome("send = [{ event = 'view', item = 'p1', at = '-2h' }, 'view*5']\n"
                    "expect = { views_1h = 5, all = 6, recent = ['p1'], session = { count = 2 } }"),
            "passed");
  EXPECT_EQ(outcome("send = ['view*5']\nexpect = { views_1h = 6, recent = ['x'] }"),
            "views_1h 6 5;recent [\"x\"] [];");
}

TEST(ConfigTests, ReadAtTheInstantThatTheySay) {
  EXPECT_EQ(outcome("send = ['view']\nat = '+59m'\nexpect = { views_1h = 1 }"), "passed");
  EXPECT_EQ(outcome("send = ['view']\nat = '+2h'\nexpect = { views_1h = 0 }"), "passed");
  EXPECT_EQ(outcome("send = [{ event = 'view', at = 2026-03-01T10:00:00Z }]\n"
                    "at = '2026-03-01T10:30:00Z'\nexpect = { views_1h = 1 }"),
            "passed");
}

TEST(ConfigTests, SendArraysElementByElement) {
  EXPECT_EQ(outcome("send = [{ event = 'order', item = ['a', 'b'], price = [1, 2.5], n = 2 }]\n"
                    "expect = { spend = 7, all = 2 }"),
            "passed");
}

TEST(ConfigTests, IdentifyAndExpectNothingAsAnEmptyTable) {
  EXPECT_EQ(outcome("send = [{ identify = { plan = 'pro' } }]\n"
                    "expect = { plan = 'pro', last = {}, all = 0 }"),
            "passed");
  EXPECT_EQ(outcome("send = [{ identify = { plan = 'pro' }, at = '-1h' }, { identify = { plan = {} "
                    "} }]\nexpect = { plan = {} }"),
            "passed");
  EXPECT_EQ(outcome("send = ['view']\nexpect = { plan = 'pro' }"), "plan \"pro\" null;");
}

TEST(ConfigTests, LeaveOtherUsersAlone) {
  EXPECT_EQ(outcome("send = ['view', { event = 'view', user = 'else' }]\nexpect = { all = 1 }"),
            "passed");
}

TEST(ConfigTests, AreReportedWhereTheyAreWrong) {
  const std::vector<std::pair<std::string, std::string>> list = {
      {"send = ['vieww']\nexpect = {}",
       "16:9: [[test]] 1.send: unknown event \"vieww\"; did you mean \"view\"?"},
      {"send = ['view*']\nexpect = {}",
       "16:9: [[test]] 1.send: found \"view*\"; write how many after the star: \"view*5\""},
      {"send = ['view*0']\nexpect = {}",
       "16:9: [[test]] 1.send: found \"view*0\"; write how many after the star: \"view*5\""},
      {"send = [7]\nexpect = {}",
       "16:9: [[test]] 1.send: found 7; write \"view\", \"view*5\" or { event = \"view\", ... }"},
      {"send = 'view'\nexpect = {}",
       "16:8: [[test]] 1.send: found \"view\"; write a list: [\"view*5\", { event = \"view\" }]"},
      {"send = [{ event = 'view', itm = 'x' }]\nexpect = {}",
       "16:27: [[test]] 1.send: unknown key \"itm\"; did you mean \"item\"?"},
      {"send = [{ event = 'view', item = ['x'] }]\nexpect = {}",
       "16:34: [[test]] 1.send.item: found a list; \"properties.id\" is one value, not an array"},
      {"send = [{ event = 'view', at = 'yesterday' }]\nexpect = {}",
       "16:32: [[test]] 1.send.at: found \"yesterday\"; write an offset from the test's now "
       "(\"-2h\") or an instant (2026-01-31T12:00:00Z)"},
      {"send = [{ item = 'x' }]\nexpect = {}",
       "16:9: [[test]] 1.send: found neither an event nor a call; write event = \"...\", or "
       "identify = { plan = \"pro\" }"},
      {"send = [{ identify = { age = 3 } }]\nexpect = {}",
       "16:24: [[test]] 1.send.identify: no feature looks at traits.age; leave it out, or declare "
       "a trait"},
      {"expect = { viewz_1h = 5 }",
       "16:12: [[test]] 1.expect: unknown feature \"viewz_1h\"; did you mean \"views_1h\"?"},
      {"send = ['view']",
       "15:1: [[test]] 1: it expects nothing; give expect = { feature = value }"},
      {"expects = 3\nexpect = {}",
       "16:1: [[test]] 1: unknown key \"expects\"; did you mean \"expect\"?"},
      {"send = ['view*1000000', 'view']\nexpect = {}",
       "16:25: [[test]] 1.send: more than 1000000 events; send fewer"},
  };
  for (const auto& [text, message] : list) {
    EXPECT_EQ(mistakes(kShop + "[[test]]\n" + text + "\n"),
              std::vector<std::string>{"t.toml:" + message})
        << text;
  }
  EXPECT_EQ(mistakes(kShop + "[test]\nname = 'x'\n"),
            std::vector<std::string>{
                "t.toml:15:1: [[test]]: found a table; each test begins with [[test]]"});
}

TEST(ConfigTests, CompareNumbersClosely) {
  TomlValue expected;
  expected.kind = TomlKind::kNumber;
  expected.number = 3.5;
  EXPECT_TRUE(matches_json(expected, "3.5000000000001"));
  EXPECT_FALSE(matches_json(expected, "3.50001"));
  EXPECT_FALSE(matches_json(expected, "\"3.5\""));
  EXPECT_FALSE(matches_json(expected, "null"));
  EXPECT_FALSE(matches_json(expected, ""));
}

TEST(JsonValue, IsReadWhole) {
  const auto value = parse_json(R"( {"a": [1, -2.5e3, "x\"\u00e9\n", null, true], "b": {}} )");
  ASSERT_TRUE(value.has_value());
  EXPECT_EQ(json_of(*value), "{\"a\":[1,-2500,\"x\\\"\xc3\xa9\\n\",null,true],\"b\":null}");
  for (const char* bad :
       {"", "[", "[1", "[1,]", "{\"a\"}", "{\"a\":1", "\"x", "1 2", "nul", "\\"}) {
    EXPECT_FALSE(parse_json(bad).has_value()) << bad;
  }
  EXPECT_FALSE(parse_json(std::string(100'000, '[')).has_value());
}

TEST(MemoryPlan, AddsUpToTheByte) {
  const Config config = loaded(kShop);
  const SegmentPlan segment = segment_plan_of(config, "local");
  const MemoryPlan plan = plan_memory(config, segment);
  std::uint32_t frame = 0;
  for (const MemoryPlan::Column& column : plan.columns) frame += column.bytes;
  EXPECT_EQ(frame, config.frame_bytes);
  EXPECT_EQ(plan.profile_bytes(), frame + 64 + TableGeometry::kBlockHeaderBytes);
  std::uint64_t files = 0;
  for (const SegmentFile& file : segment.files) files += file.bytes;
  EXPECT_EQ(plan.whole_bytes, segment.geometry().table_bytes() + files + segment.catalog.size() +
                                  segment.settings.size() + sizeof(SuperblockLayout));
}

TEST(MemoryPlan, KeepsTheTableWithin20PercentFrom100000ProfilesOn) {
  for (const char* profiles : {"100_000", "1_000_000", "20_000_000"}) {
    std::string text = kShop;
    text.insert(kNamed.size(), std::string("profiles = ") + profiles + "\n");
    const Config config = loaded(text);
    EXPECT_LE(plan_memory(config, segment_plan_of(config, "local")).overhead_percent(), 20)
        << profiles;
  }
}

TEST(SizeText, HasOneDigitBehindThePoint) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(1023), "1023 B");
  EXPECT_EQ(size_text(1536), "1.5 KiB");
  EXPECT_EQ(size_text(std::uint64_t{5} << 30U), "5.0 GiB");
}

struct Answer {
  int status = 0;
  std::string out;
  std::string err;
};

/// Of this process alone: tests run side by side.
std::string config_path() {
  return testing::TempDir() + "deja_validate_test_" + std::to_string(getpid()) + ".toml";
}

Answer validate(const std::string& text, bool json) {
  const std::string path = config_path();
  std::ofstream(path) << text;
  std::ostringstream out;
  std::ostringstream err;
  Answer run;
  run.status = run_validate({path, json, test_options()}, out, err);
  run.out = out.str();
  run.err = err.str();
  return run;
}

TEST(Validate, SaysMemoryAndTestsOfARightConfig) {
  const Answer run =
      validate(kShop + "[[test]]\nname = 'one'\nsend = ['view']\nexpect = { all = 1 }\n", false);
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.err, "");
  EXPECT_NE(run.out.find("views_1h"), std::string::npos);
  EXPECT_NE(run.out.find("= profile"), std::string::npos);
  EXPECT_NE(run.out.find("the whole"), std::string::npos);
  EXPECT_NE(run.out.find("  passed  one\n"), std::string::npos);
}

TEST(Validate, ShowsExpectedAndSeenOfAFailedTest) {
  const Answer run =
      validate(kShop + "[[test]]\nname = 'two'\nsend = ['view']\nexpect = { all = 2 }\n", false);
  EXPECT_EQ(run.status, 1);
  EXPECT_NE(run.out.find("FAILED  two  (" + config_path() +
                         ":15)\n"
                         "          all: expected 2\n"
                         "                   seen 1\n"),
            std::string::npos)
      << run.out;
}

TEST(Validate, ListsEveryMistake) {
  const Answer run = validate("[appliance]\nname = 'x y'\ncolour = 3\n", false);
  EXPECT_EQ(run.status, 1);
  EXPECT_EQ(run.out, "");
  EXPECT_NE(run.err.find(":2:8: "), std::string::npos);
  EXPECT_NE(run.err.find(":3:1: "), std::string::npos);
  EXPECT_NE(run.err.find("2 mistakes\n"), std::string::npos);
}

TEST(Validate, WarnsAndGoesOn) {
  const Answer run = validate(kShop + "[cpu]\nworkers = [99]\n", false);
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.err.find("warning: "), 0U);
}

TEST(Validate, SpeaksJson) {
  const Answer good =
      validate(kShop + "[[test]]\nname = 'two'\nsend = ['view']\nexpect = { all = 2 }\n", true);
  EXPECT_EQ(good.status, 1);
  const auto findings = parse_json(good.out);
  ASSERT_TRUE(findings.has_value()) << good.out;
  EXPECT_FALSE(findings->find("ok")->truth);
  EXPECT_EQ(findings->find("columns")->elements.size(), 7U);
  EXPECT_GT(findings->find("whole_bytes")->number, 1e6);
  EXPECT_EQ(json_of(findings->find("tests")->elements.at(0)),
            "{\"name\":\"two\",\"line\":15,\"passed\":false,\"mismatches\":[{\"feature\":\"all\","
            "\"expected\":2,\"seen\":1}]}");
  const Answer bad = validate("[appliance]\nname = 'x y'\n", true);
  EXPECT_EQ(bad.status, 1);
  const auto mistake = parse_json(bad.out);
  ASSERT_TRUE(mistake.has_value()) << bad.out;
  EXPECT_EQ(mistake->find("errors")->elements.at(0).find("line")->number, 2);
  EXPECT_EQ(mistake->find("errors")->elements.at(0).find("where")->text, "[appliance] name");
}

TEST(Validate, IsMisusedWithoutAReadableFile) {
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(run_validate({"/nowhere/x.toml", false, test_options()}, out, err), 2);
  EXPECT_NE(err.str().find("can't be opened"), std::string::npos);
}

}  // namespace
}  // namespace deja
