// top with more keys than it tracks: what stays, and for how long the answer is called an estimate.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/workers/features/random_events.h"

namespace deja::features {
namespace {

using reference::Sent;

FeatureSpec top_spec() {
  FeatureSpec spec;
  spec.type = FeatureType::kTop;
  spec.keep = 2;
  spec.track = 3;
  spec.text_bytes = 8;
  return spec;
}

Sent sent(const char* key, double weight, std::int64_t time = 0) {
  Sent event;
  event.kind = 't';
  event.text = key;
  event.weight = weight;
  event.time = time;
  return event;
}

std::string shown(const FeatureSpec& spec, const Column& column, std::int64_t at) {
  TopItem items[8];
  const std::uint32_t count = finish_top(spec, column.bytes(), at, items, 8);
  std::string text;
  for (std::uint32_t place = 0; place < count; ++place) {
    text.append(items[place].text, items[place].text_bytes);
    text += '=' + std::to_string(static_cast<int>(items[place].weight)) + ' ';
  }
  return text;
}

TEST(TopEstimate, ANewKeyTakesThePlaceAndTheWeightOfTheLightest) {
  const FeatureSpec spec = top_spec();
  Column column(spec);
  column.apply_all({sent("a", 9), sent("b", 5), sent("c", 2)});
  EXPECT_FALSE(is_estimate(spec, column.bytes(), 0));
  column.apply_all({sent("d", 1), sent("d", 3)});
  EXPECT_EQ(shown(spec, column, 0), "a=9 d=6 ");
  EXPECT_TRUE(is_estimate(spec, column.bytes(), 0));
}

TEST(TopEstimate, MergingKeepsTheHeaviestOfBothTogether) {
  const FeatureSpec spec = top_spec();
  Column one(spec);
  Column two(spec);
  one.apply_all({sent("a", 9), sent("b", 5), sent("c", 4)});
  two.apply_all({sent("c", 4), sent("e", 7), sent("d", 1)});
  Column merged = one;
  merged.merge(two);
  Column other_way = two;
  other_way.merge(one);
  EXPECT_EQ(shown(spec, merged, 0), "a=9 c=8 ");
  EXPECT_EQ(shown(spec, other_way, 0), "a=9 c=8 ");
  merged.apply_all({sent("e", 3)});
  EXPECT_EQ(shown(spec, merged, 0), "e=10 a=9 ");
  EXPECT_TRUE(is_estimate(spec, merged.bytes(), 0));
}

TEST(TopEstimate, WhatHasDecayedCanNoLongerBeSeenUnlessTooFewKeysAreHeavier) {
  FeatureSpec spec = top_spec();
  spec.half_life_us = 10;
  for (const std::int64_t later : {1000, 50000}) {  // 2^-100, and less than a double can hold
    Column column(spec);
    column.apply_all({sent("a", 1), sent("b", 1), sent("c", 1), sent("d", 1)});
    EXPECT_TRUE(is_estimate(spec, column.bytes(), 0));
    column.apply_all({sent("x", 1, later)});
    EXPECT_TRUE(is_estimate(spec, column.bytes(), later));  // the second shown is one of a, b, c, d
    column.apply_all({sent("y", 2, later)});
    EXPECT_FALSE(is_estimate(spec, column.bytes(), later));
    EXPECT_EQ(shown(spec, column, later), "y=2 x=1 ");
    EXPECT_TRUE(is_estimate(spec, column.bytes(), 0));
  }
}

TEST(TopEstimate, ALossIsNotForgottenBecauseItsWeightIsTooSmallForADouble) {
  FeatureSpec spec = top_spec();
  spec.half_life_us = 10;
  Column column(spec);
  column.apply_all({sent("a", 4), sent("b", 3), sent("c", 2), sent("d", 1)});
  column.apply_all({sent("a", 1, 50000)});
  EXPECT_TRUE(is_estimate(spec, column.bytes(), 50000));
  column.apply_all({sent("b", 1, 50000)});
  EXPECT_FALSE(is_estimate(spec, column.bytes(), 50000));
}

TEST(TopEstimate, NothingIsLeftOfAKeyWhoseWindowHasPassed) {
  FeatureSpec spec = top_spec();
  spec.window_us = 100;
  spec.panes = 4;
  Column column(spec);
  column.apply_all({sent("secret", 9), sent("b", 1, 1000)});
  Column without(spec);
  without.apply_all({sent("x", 9), sent("b", 1, 1000)});
  EXPECT_EQ(std::memcmp(column.bytes(), without.bytes(), column_bytes(spec)), 0);
}

}  // namespace
}  // namespace deja::features
