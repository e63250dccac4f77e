// Every feature type with every kind of window against the plain reference: random events out of
// order, late, in the future and at equal times, read at random instants, in shuffled orders and
// merged from random parts. Sessions and estimates have tests of their own.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/workers/features/random_events.h"

namespace deja::features {
namespace {

using reference::Sent;
using reference::Window;

constexpr int kRounds = 150;

struct WindowKind {
  const char* name;
  std::int64_t length;
  std::uint32_t panes;
  bool tumbling;
};
constexpr WindowKind kWindows[] = {
    {"all time", 0, 1, false},
    {"sliding by 12", 1200, 12, false},
    {"sliding by 7 of 1000", 1000, 7, false},
    {"sliding by 64", 640, 64, false},
    {"one pane", 500, 1, false},
    {"tumbling", 700, 1, true},
};

std::string place(const Random& random, const char* what, int round, std::size_t way) {
  return std::string(what) + ", round " + std::to_string(round) + ", way " + std::to_string(way) +
         ", DEJA_SEED=" + std::to_string(random.seed());
}

std::vector<Sent> draw_events(Random& random, Draw& draw, int round) {
  draw.middle = round % 3 == 0 ? 0 : random.between(-1'000'000, 1'000'000);
  draw.spread = random.between(100, 3000);
  draw.step = random.one_in(2) ? 1 : 50;
  std::vector<Sent> events;
  const std::int64_t count = round < 5 ? round : random.between(0, 80);
  for (std::int64_t at = 0; at < count; ++at) events.push_back(random_event(random, draw));
  return events;
}

FeatureSpec windowed(FeatureType type, const WindowKind& window) {
  FeatureSpec spec;
  spec.type = type;
  spec.window_us = window.length;
  spec.panes = window.panes;
  spec.tumbling = window.tumbling;
  spec.keep = 5;
  spec.track = 64;
  spec.text_bytes = 9;
  EXPECT_EQ(spec_fault(spec), nullptr);
  return spec;
}

/// What a numeric feature should say: the number, and how far off it may be.
struct Expected {
  bool empty = false;
  double number = 0;
  double tolerance = 0;
};

Expected expected_number(FeatureType type, const std::vector<Sent>& events, const Window& window,
                         std::int64_t at) {
  if (type == FeatureType::kCount) {
    return {false, static_cast<double>(counted(events, window, at).size()), 0};
  }
  if (type == FeatureType::kDistinct) {
    return {false, static_cast<double>(reference::distinct(events, window, at)), 0};
  }
  const std::vector<Sent> numbers = counted(reference::only_numbers(events), window, at);
  long double sum = 0;
  long double absolute = 0;
  double smallest = INFINITY;
  double largest = -INFINITY;
  for (const Sent& event : numbers) {
    sum += event.number;
    absolute += std::abs(event.number);
    smallest = std::min(smallest, event.number);
    largest = std::max(largest, event.number);
  }
  const double tolerance = 1e-9 * static_cast<double>(absolute);
  if (type == FeatureType::kSum) return {false, static_cast<double>(sum), tolerance};
  if (numbers.empty()) return {true, 0, 0};
  if (type == FeatureType::kMin) return {false, smallest, 0};
  if (type == FeatureType::kMax) return {false, largest, 0};
  const auto count = static_cast<double>(numbers.size());
  return {false, static_cast<double>(sum) / count, tolerance / count};
}

TEST(FeatureProperty, NumbersAgreeWithThePlainReferenceInEveryWindow) {
  Random random;
  for (const FeatureType type : {FeatureType::kCount, FeatureType::kSum, FeatureType::kMin,
                                 FeatureType::kMax, FeatureType::kMean, FeatureType::kDistinct}) {
    for (const WindowKind& kind : kWindows) {
      const FeatureSpec spec = windowed(type, kind);
      const Window window = {kind.length, kind.panes};
      for (int round = 0; round < kRounds; ++round) {
        Draw draw;
        const std::vector<Sent> events = draw_events(random, draw, round);
        const std::vector<Column> columns = all_ways(random, spec, events);
        for (const std::int64_t at : read_times(random, events, draw.spread)) {
          const Expected expected = expected_number(type, events, window, at);
          for (std::size_t way = 0; way < columns.size(); ++way) {
            SCOPED_TRACE(place(random, kind.name, round, way));
            const FinishedNumber got = finish_number(spec, columns[way].bytes(), at);
            ASSERT_EQ(got.empty, expected.empty) << static_cast<int>(type);
            ASSERT_NEAR(got.number, expected.number, expected.tolerance) << static_cast<int>(type);
            ASSERT_FALSE(std::signbit(got.number) && got.number == 0);
            ASSERT_FALSE(is_estimate(spec, columns[way].bytes(), at));
          }
        }
      }
    }
  }
}

TEST(FeatureProperty, LateIsWhatIsOlderThanTheOldestPaneKept) {
  Random random;
  for (const FeatureType type :
       {FeatureType::kCount, FeatureType::kSum, FeatureType::kTop, FeatureType::kDistinct}) {
    for (const WindowKind& kind : kWindows) {
      const FeatureSpec spec = windowed(type, kind);
      const Window window = {kind.length, kind.panes};
      for (int round = 0; round < 20; ++round) {
        Draw draw;
        Column column(spec);
        std::vector<std::int64_t> panes;
        for (Sent event : draw_events(random, draw, round)) {
          event.kind = 'n';
          const std::int64_t pane = kind.length == 0 ? 0 : window.pane(event.time);
          bool late = false;
          for (const std::int64_t other : panes) late |= pane <= other - window.panes;
          panes.push_back(pane);
          SCOPED_TRACE(place(random, kind.name, round, 0));
          ASSERT_EQ(column.apply(event), late ? Applied::kLate : Applied::kTaken);
        }
      }
    }
  }
}

TEST(FeatureProperty, FirstLastAndTraitAgreeWithThePlainReference) {
  Random random;
  for (const FeatureType type : {FeatureType::kFirst, FeatureType::kLast, FeatureType::kTrait}) {
    const FeatureSpec spec = windowed(type, kWindows[0]);
    for (int round = 0; round < 4 * kRounds; ++round) {
      Draw draw;
      std::vector<Sent> events = draw_events(random, draw, round);
      if (random.one_in(3)) {  // ties everywhere
        for (Sent& event : events) event.time = event.time > draw.middle ? 7 : -7;
      }
      const auto expected = reference::extreme_in_time(
          events, type == FeatureType::kFirst, type == FeatureType::kTrait, spec.text_bytes);
      const std::vector<Column> columns = all_ways(random, spec, events);
      for (std::size_t way = 0; way < columns.size(); ++way) {
        SCOPED_TRACE(place(random, "value", round, way));
        const Value got = finish_value(spec, columns[way].bytes());
        if (!expected) {
          ASSERT_TRUE(got.absent());
          continue;
        }
        ASSERT_EQ(compare(got, value_of(*expected)), 0) << expected->kind << expected->text;
        ASSERT_FALSE(got.kind == ValueKind::kNumber && std::signbit(got.number) && got.number == 0);
      }
    }
  }
}

TEST(FeatureProperty, RecentAgreesWithThePlainReference) {
  Random random;
  FeatureSpec spec = windowed(FeatureType::kRecent, kWindows[0]);
  for (int round = 0; round < 4 * kRounds; ++round) {
    spec.keep = static_cast<std::uint32_t>(random.between(1, 12));
    Draw draw;
    draw.items = random.between(1, 16);
    const std::vector<Sent> events = draw_events(random, draw, round);
    const std::vector<std::string> expected = reference::recent(events, spec.keep, spec.text_bytes);
    const std::vector<Column> columns = all_ways(random, spec, events);
    for (std::size_t way = 0; way < columns.size(); ++way) {
      SCOPED_TRACE(place(random, "recent", round, way));
      RecentItem items[16];
      const std::uint32_t count = finish_recent(spec, columns[way].bytes(), items, 16);
      std::vector<std::string> got;
      for (std::uint32_t at = 0; at < count; ++at) {
        got.emplace_back(items[at].text, items[at].text_bytes);
      }
      ASSERT_EQ(got, expected);
    }
  }
}

/// What is shown must be the heaviest keys with their weights; only keys whose weights agree to
/// 1e-9 may stand in another order than by their weights, and exactly equal ones go by bytes.
void expect_heaviest(const FeatureSpec& spec, const Column& column, std::int64_t at,
                     std::map<std::string, double> weights) {
  TopItem items[64];
  const std::uint32_t count = finish_top(spec, column.bytes(), at, items, 64);
  ASSERT_EQ(count, std::min<std::size_t>(spec.keep, weights.size()));
  double before = INFINITY;
  std::string key_before;
  for (std::uint32_t place = 0; place < count; ++place) {
    const std::string key(items[place].text, items[place].text_bytes);
    ASSERT_TRUE(weights.contains(key)) << key;
    const double weight = weights[key];
    const double tolerance = 1e-9 * std::max(1.0, weight);
    ASSERT_NEAR(items[place].weight, weight, tolerance) << key;
    ASSERT_LE(weight, before + 2 * std::max(tolerance, 1e-9 * std::abs(before))) << key;
    if (weight == before && spec.half_life_us == 0) {
      ASSERT_LT(key_before, key);
    }
    before = weight;
    key_before = key;
    weights.erase(key);
  }
  for (const auto& [key, weight] : weights) {
    ASSERT_LE(weight, before + 2e-9 * std::max(1.0, before)) << key << " is missing";
  }
}

TEST(FeatureProperty, TopAgreesWithThePlainReferenceInEveryWindow) {
  Random random;
  for (const WindowKind& kind : kWindows) {
    const FeatureSpec spec = windowed(FeatureType::kTop, kind);
    for (int round = 0; round < kRounds; ++round) {
      Draw draw;
      draw.weights = true;
      const std::vector<Sent> events = draw_events(random, draw, round);
      const std::vector<Column> columns = all_ways(random, spec, events);
      for (const std::int64_t at : read_times(random, events, draw.spread)) {
        for (std::size_t way = 0; way < columns.size(); ++way) {
          SCOPED_TRACE(place(random, kind.name, round, way));
          ASSERT_FALSE(is_estimate(spec, columns[way].bytes(), at));
          expect_heaviest(
              spec, columns[way], at,
              reference::weights(events, {kind.length, kind.panes}, 0, spec.text_bytes, at));
        }
      }
    }
  }
}

TEST(FeatureProperty, TopWithAHalfLifeAgreesWithThePlainReference) {
  Random random;
  FeatureSpec spec = windowed(FeatureType::kTop, kWindows[0]);
  for (int round = 0; round < 3 * kRounds; ++round) {
    Draw draw;
    draw.weights = true;
    const std::vector<Sent> events = draw_events(random, draw, round);
    spec.half_life_us = random.between(1, 3) * random.between(100, 3000);
    const std::vector<Column> columns = all_ways(random, spec, events);
    for (const std::int64_t at : read_times(random, events, draw.spread)) {
      for (std::size_t way = 0; way < columns.size(); ++way) {
        SCOPED_TRACE(place(random, "half-life", round, way));
        ASSERT_FALSE(is_estimate(spec, columns[way].bytes(), at));
        expect_heaviest(spec, columns[way], at,
                        reference::weights(events, {}, spec.half_life_us, spec.text_bytes, at));
      }
    }
  }
}

TEST(FeatureProperty, WhatTopLostIsAnEstimateForAsLongAsItCanBeSeen) {
  Random random;
  int estimates = 0;
  int exact_again = 0;
  for (int round = 0; round < 6 * kRounds; ++round) {
    const WindowKind& kind = kWindows[round % 2 == 0 ? 0 : 1];
    FeatureSpec spec = windowed(FeatureType::kTop, kind);
    spec.keep = 2;
    spec.track = 4;
    if (kind.length == 0 && round % 4 == 0) spec.half_life_us = 60;
    Draw draw;
    draw.items = random.between(2, 12);
    draw.weights = true;
    const std::vector<Sent> events = draw_events(random, draw, round);
    const std::vector<Column> columns = all_ways(random, spec, events);
    std::set<std::string> keys;
    for (const Sent& event : reference::only_items(events)) {
      keys.insert(reference::cut(*reference::item(event), spec.text_bytes));
    }
    for (const std::int64_t at : read_times(random, events, draw.spread)) {
      for (std::size_t way = 0; way < columns.size(); ++way) {
        SCOPED_TRACE(place(random, kind.name, round, way));
        const bool estimate = is_estimate(spec, columns[way].bytes(), at);
        if (keys.size() <= spec.track) {
          ASSERT_FALSE(estimate);
        }
        if (estimate) {
          ++estimates;
          continue;
        }
        if (keys.size() > spec.track) ++exact_again;
        expect_heaviest(spec, columns[way], at,
                        reference::weights(events, {kind.length, kind.panes}, spec.half_life_us,
                                           spec.text_bytes, at));
      }
    }
  }
  EXPECT_GT(estimates, 1000);
  EXPECT_GT(exact_again, 1000);
}

TEST(FeatureProperty, DistinctIsExactUpToThirtyTwoItemsAndTheSameInEveryOrderBeyond) {
  Random random;
  int estimates = 0;
  int exact_again = 0;
  for (const WindowKind& kind : kWindows) {
    const FeatureSpec spec = windowed(FeatureType::kDistinct, kind);
    const Window window = {kind.length, kind.panes};
    for (int round = 0; round < 60; ++round) {
      std::vector<Sent> events;
      const std::int64_t items = random.between(20, 120);
      const std::int64_t spread = random.between(100, 5000);
      for (std::int64_t count = random.between(20, 200); count > 0; --count) {
        Sent event;
        event.kind = 't';
        event.text = "item " + std::to_string(random.between(0, items));
        event.time = random.between(-spread, spread);
        events.push_back(event);
      }
      const std::vector<Column> columns = all_ways(random, spec, events);
      const std::vector<std::int64_t> times = read_times(random, events, spread);
      for (const std::int64_t at : times) {
        const std::size_t expected = reference::distinct(events, window, at);
        for (std::size_t way = 0; way < columns.size(); ++way) {
          SCOPED_TRACE(place(random, kind.name, round, way));
          const bool estimate = is_estimate(spec, columns[way].bytes(), at);
          const double got = finish_number(spec, columns[way].bytes(), at).number;
          ASSERT_EQ(estimate, is_estimate(spec, columns[0].bytes(), at));
          ASSERT_EQ(got, finish_number(spec, columns[0].bytes(), at).number);
          if (at >= times.front()) {
            ASSERT_EQ(estimate, expected > 32);
          }
          if (expected > 32) {
            ASSERT_TRUE(estimate);
          }
          if (estimate) {
            ++estimates;
            ASSERT_NEAR(got, static_cast<double>(expected),
                        6 + 6 * 0.1 * static_cast<double>(expected));
          } else {
            ASSERT_EQ(got, static_cast<double>(expected));
            if (items > 32) ++exact_again;
          }
        }
      }
    }
  }
  EXPECT_GT(estimates, 1000);
  EXPECT_GT(exact_again, 1000);
}

}  // namespace
}  // namespace deja::features
