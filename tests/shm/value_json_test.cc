#include "shm/value_json.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "shm/columns/finish.h"
#include "shm/json_text.h"
#include "shm/number_text.h"

namespace deja {
namespace {

std::string text_json(std::string_view text) {
  std::string out;
  append_json_text(out, text);
  return out;
}

std::string number_json(double number) {
  std::string out;
  append_json_number(out, number);
  return out;
}

std::string instant(std::int64_t time_us) {
  std::string out;
  append_instant(out, time_us);
  return out;
}

FeatureSpec spec_of(FeatureType type) {
  FeatureSpec spec;
  spec.type = type;
  spec.keep = 2;
  spec.track = 4;
  spec.text_bytes = 8;
  spec.gap_us = 1'800'000'000;
  spec.bytes = column_bytes(spec);
  return spec;
}

std::string empty_json(FeatureType type) {
  const FeatureSpec spec = spec_of(type);
  const std::vector<std::uint8_t> column(spec.bytes);
  std::string out;
  append_feature_json(out, spec, column.data(), 0);
  EXPECT_FALSE(is_estimate(spec, column.data(), 0));
  return out;
}

TEST(JsonText, EscapesWhatJsonDoesNotAllow) {
  EXPECT_EQ(text_json("plain"), R"("plain")");
  EXPECT_EQ(text_json("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(text_json("\b\f\n\r\t"), R"("\b\f\n\r\t")");
  EXPECT_EQ(text_json(std::string_view("\0\x1f\x7f", 3)), R"("\u0000\u001f\u007f")");
  EXPECT_EQ(text_json("/"), R"("/")");
}

TEST(JsonText, KeepsValidUtf8AndReplacesTheRest) {
  EXPECT_EQ(text_json("Grüße €😀"), "\"Grüße €😀\"");
  const std::string replacement = "\xEF\xBF\xBD";
  EXPECT_EQ(text_json("a\xFF"
                      "b"),
            "\"a" + replacement + "b\"");
  EXPECT_EQ(text_json("\xC3"), "\"" + replacement + "\"");
  EXPECT_EQ(text_json("\xC0\xAF"), "\"" + replacement + replacement + "\"");
  EXPECT_EQ(text_json("\xED\xA0\x80"), "\"" + replacement + replacement + replacement + "\"");
  EXPECT_EQ(text_json("\xF4\x90\x80\x80").size(), 2 + 4 * replacement.size());
  EXPECT_EQ(text_json("\xE2\x82\"").back(), '"');
  EXPECT_EQ(text_json("\xE2\x82\""), "\"" + replacement + replacement + "\\\"\"");
}

TEST(JsonNumber, WholeNumbersHaveNoPoint) {
  EXPECT_EQ(number_json(0), "0");
  EXPECT_EQ(number_json(-0.0), "0");
  EXPECT_EQ(number_json(100000), "100000");
  EXPECT_EQ(number_json(-3), "-3");
  EXPECT_EQ(number_json(9007199254740992.0), "9007199254740992");
}

TEST(JsonNumber, FractionsAreTheShortestThatReadBack) {
  EXPECT_EQ(number_json(3.25), "3.25");
  EXPECT_EQ(number_json(0.1), "0.1");
  EXPECT_EQ(number_json(-1.5), "-1.5");
  EXPECT_EQ(number_json(1e300), "1e+300");
  EXPECT_EQ(number_json(1.0 / 0.0), "0");
  std::mt19937_64 random(7);
  for (int round = 0; round < 10000; ++round) {
    const double number = columns::finite(std::bit_cast<double>(random()));
    EXPECT_EQ(std::strtod(number_json(number).c_str(), nullptr), number);
  }
}

TEST(JsonInstant, HasMillisecondsAndMicrosecondsWhereNeeded) {
  EXPECT_EQ(instant(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(instant(1'000), "1970-01-01T00:00:00.001Z");
  EXPECT_EQ(instant(1), "1970-01-01T00:00:00.000001Z");
  EXPECT_EQ(instant(-1), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(instant(1'770'091'506'007'000), "2026-02-03T04:05:06.007Z");
  EXPECT_EQ(instant(1'709'164'800'000'000), "2024-02-29T00:00:00.000Z");
  EXPECT_EQ(instant(951'868'799'000'000), "2000-02-29T23:59:59.000Z");
  EXPECT_EQ(instant(INT64_MIN), "0000-01-01T00:00:00.000Z");
  EXPECT_EQ(instant(INT64_MAX), "9999-12-31T23:59:59.999999Z");
}

TEST(JsonFeature, AnEmptyColumnIsWhatItsTypeSays) {
  EXPECT_EQ(empty_json(FeatureType::kCount), "0");
  EXPECT_EQ(empty_json(FeatureType::kSum), "0");
  EXPECT_EQ(empty_json(FeatureType::kDistinct), "0");
  EXPECT_EQ(empty_json(FeatureType::kMin), "null");
  EXPECT_EQ(empty_json(FeatureType::kMax), "null");
  EXPECT_EQ(empty_json(FeatureType::kMean), "null");
  EXPECT_EQ(empty_json(FeatureType::kFirst), "null");
  EXPECT_EQ(empty_json(FeatureType::kLast), "null");
  EXPECT_EQ(empty_json(FeatureType::kTrait), "null");
  EXPECT_EQ(empty_json(FeatureType::kRecent), "[]");
  EXPECT_EQ(empty_json(FeatureType::kTop), "[]");
  EXPECT_EQ(empty_json(FeatureType::kSession), "null");
}

TEST(JsonProfile, HasTheShapeOfTheInterface) {
  FeatureSpec count = spec_of(FeatureType::kCount);
  FeatureSpec session = spec_of(FeatureType::kSession);
  session.offset = count.bytes;
  std::vector<std::uint8_t> frame(count.bytes + session.bytes);
  columns::store<std::uint64_t>(frame.data(), 5);
  columns::SessionColumnLayout kept = {};
  kept.current_start = columns::encode_instant(1'770'091'445'007'000);
  kept.current_end = columns::encode_instant(1'770'091'506'007'000);
  kept.current_events = 4;
  kept.count = 3;
  columns::store(frame.data() + session.offset, kept);
  const NamedFeature features[] = {{"views \"1h\"", count}, {"session", session}};
  ProfileFacts facts;
  facts.key = {KeyNamespace::kAnonymous, "a\"1", 3};
  facts.sequence = 17;
  facts.updated_us = 1'770'091'506'007'000;
  facts.late = 2;
  std::string out;
  append_profile_json(out, facts, features, frame.data(), facts.updated_us + 12);
  EXPECT_EQ(out,
            R"({"user":"anon:a\"1","sequence":17,"updated":"2026-02-03T04:05:06.007Z","age_us":12,)"
            R"("features":{"views \"1h\"":5,"session":{"events":4,)"
            R"("started":"2026-02-03T04:04:05.007Z","duration_s":61,"active":true,"count":3}},)"
            R"("estimates":[],"late":2})");
  kept.estimated = 1;
  columns::store(frame.data() + session.offset, kept);
  facts.partial = true;
  facts.key = {KeyNamespace::kUser, "u1", 2};
  out.clear();
  append_profile_json(out, facts, features, frame.data(), facts.updated_us + 1'800'000'001);
  EXPECT_NE(out.find(R"({"user":"u1",)"), std::string::npos);
  EXPECT_NE(out.find(R"("active":false)"), std::string::npos);
  EXPECT_NE(out.find(R"("estimates":["session"],"late":2,"partial":true})"), std::string::npos);
}

}  // namespace
}  // namespace deja
