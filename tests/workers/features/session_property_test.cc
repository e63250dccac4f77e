// Sessions: exact while no event is more than the gap behind a newer one, by rule beyond that, and
// merged exactly unless marked as an estimate.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/workers/features/random_events.h"
#include "workers/features/session_apply.h"

namespace deja::features {
namespace {

constexpr std::int64_t kGap = 100;

FeatureSpec session_spec() {
  FeatureSpec spec;
  spec.type = FeatureType::kSession;
  spec.gap_us = kGap;
  return spec;
}

class Sessions {
 public:
  Sessions() : column_(session_spec()) {}
  bool late(std::int64_t time) {
    return apply_session(session_spec(), column_.bytes(), time) == Applied::kLate;
  }
  void apply(const std::vector<std::int64_t>& times) {
    for (const std::int64_t time : times) (void)late(time);
  }
  void merge(const Sessions& other) { column_.merge(other.column_); }
  [[nodiscard]] FinishedSession at(std::int64_t time) const {
    return finish_session(session_spec(), column_.bytes(), time);
  }
  [[nodiscard]] bool estimated() const { return is_estimate(session_spec(), column_.bytes(), 0); }

 private:
  Column column_;
};

void expect_runs(const Sessions& sessions, const std::vector<reference::Session>& runs) {
  const FinishedSession got = sessions.at(runs.empty() ? 0 : runs.back().end);
  ASSERT_EQ(got.present, !runs.empty());
  if (runs.empty()) return;
  ASSERT_EQ(got.count, runs.size());
  ASSERT_EQ(got.events, runs.back().events);
  ASSERT_EQ(got.started_us, runs.back().start);
  ASSERT_EQ(got.duration_us, runs.back().end - runs.back().start);
  ASSERT_TRUE(got.active);
  ASSERT_TRUE(sessions.at(runs.back().end + kGap).active);
  ASSERT_FALSE(sessions.at(runs.back().end + kGap + 1).active);
  ASSERT_TRUE(sessions.at(runs.back().start - kGap).active);
  ASSERT_FALSE(sessions.at(runs.back().start - kGap - 1).active);
}

/// Times in which about one step in `pause` is longer than the gap.
std::vector<std::int64_t> draw_times(Random& random, std::int64_t count, std::int64_t pause) {
  std::vector<std::int64_t> times;
  std::int64_t now = random.between(-5000, 5000);
  for (std::int64_t at = 0; at < count; ++at) {
    now += random.one_in(pause) ? random.between(0, 4 * kGap) : random.between(0, kGap);
    times.push_back(now);
  }
  return times;
}

/// Another order in which no event is more than the gap behind a newer one.
std::vector<std::int64_t> jittered(Random& random, std::vector<std::int64_t> times) {
  std::vector<std::pair<std::int64_t, std::int64_t>> arrivals;
  for (const std::int64_t time : times) {
    arrivals.emplace_back(time + random.between(0, kGap), time);
  }
  random.shuffle(arrivals);
  std::stable_sort(arrivals.begin(), arrivals.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::transform(arrivals.begin(), arrivals.end(), times.begin(),
                 [](const auto& arrival) { return arrival.second; });
  return times;
}

TEST(SessionProperty, IsExactWhileNoEventIsMoreThanTheGapBehind) {
  Random random;
  for (int round = 0; round < 3000; ++round) {
    SCOPED_TRACE("round " + std::to_string(round) + ", DEJA_SEED=" + std::to_string(random.seed()));
    const std::vector<std::int64_t> times =
        draw_times(random, random.between(0, 40), random.between(1, 6));
    Sessions sessions;
    for (const std::int64_t time : jittered(random, times)) ASSERT_FALSE(sessions.late(time));
    expect_runs(sessions, reference::sessions(times, kGap));
    ASSERT_FALSE(sessions.estimated());
  }
}

TEST(SessionProperty, AnOlderEventCountsOnlyIfItTouchesAKeptSession) {
  Random random;
  for (int round = 0; round < 3000; ++round) {
    SCOPED_TRACE("round " + std::to_string(round) + ", DEJA_SEED=" + std::to_string(random.seed()));
    std::vector<std::int64_t> times = draw_times(random, random.between(1, 25), 2);
    random.shuffle(times);
    // The rule, applied to the two newest sessions.
    std::size_t begun = 0;
    Sessions sessions;
    std::vector<reference::Session> kept;
    for (const std::int64_t time : times) {
      bool counts = kept.empty() || time > kept.back().end + kGap;
      if (counts) {
        ++begun;
        kept.push_back({time, time, 0});
        if (kept.size() > 2) kept.erase(kept.begin());
      }
      for (reference::Session& run : kept) {
        if (time < run.start - kGap || time > run.end + kGap) continue;
        counts = true;
        run.start = std::min(run.start, time);
        run.end = std::max(run.end, time);
        ++run.events;
        if (kept.size() == 2 && kept[1].start - kept[0].end <= kGap) {
          kept[0] = {kept[0].start, kept[1].end, kept[0].events + kept[1].events};
          kept.pop_back();
          --begun;
        }
        break;
      }
      ASSERT_EQ(sessions.late(time), !counts);
      ASSERT_EQ(sessions.at(0).count, begun);
      ASSERT_EQ(sessions.at(0).events, kept.back().events);
      ASSERT_EQ(sessions.at(0).started_us, kept.back().start);
      ASSERT_EQ(sessions.at(0).duration_us, kept.back().end - kept.back().start);
    }
  }
}

TEST(SessionProperty, HistoriesThatFollowEachOtherMergeExactly) {
  Random random;
  for (int round = 0; round < 3000; ++round) {
    SCOPED_TRACE("round " + std::to_string(round) + ", DEJA_SEED=" + std::to_string(random.seed()));
    const std::vector<std::int64_t> times =
        draw_times(random, random.between(0, 30), random.between(1, 5));
    const auto cut = times.begin() + random.between(0, static_cast<std::int64_t>(times.size()));
    Sessions earlier;
    Sessions later;
    earlier.apply(jittered(random, {times.begin(), cut}));
    later.apply(jittered(random, {cut, times.end()}));
    Sessions one_way = earlier;
    one_way.merge(later);
    Sessions other_way = later;
    other_way.merge(earlier);
    for (const Sessions& merged : {one_way, other_way}) {
      ASSERT_FALSE(merged.estimated());
      expect_runs(merged, reference::sessions(times, kGap));
    }
  }
}

TEST(SessionProperty, AnyHistoriesMergeExactlyUnlessMarkedAsAnEstimate) {
  Random random;
  int estimates = 0;
  int exact = 0;
  for (int round = 0; round < 6000; ++round) {
    SCOPED_TRACE("round " + std::to_string(round) + ", DEJA_SEED=" + std::to_string(random.seed()));
    const std::vector<std::int64_t> times =
        draw_times(random, random.between(0, 16), random.between(2, 8));
    std::vector<std::int64_t> halves[2];
    for (const std::int64_t time : times) {
      halves[random.one_in(round % 2 == 0 ? 2 : 6) ? 1 : 0].push_back(time);
    }
    Sessions sides[2];
    sides[0].apply(halves[0]);
    sides[1].apply(halves[1]);
    const bool forgot = reference::sessions(halves[0], kGap).size() > 2 ||
                        reference::sessions(halves[1], kGap).size() > 2;
    Sessions merged = sides[0];
    merged.merge(sides[1]);
    Sessions other_way = sides[1];
    other_way.merge(sides[0]);
    ASSERT_EQ(merged.estimated(), other_way.estimated());
    if (merged.estimated()) {
      ASSERT_TRUE(forgot);
      ++estimates;
      continue;
    }
    ++exact;
    expect_runs(merged, reference::sessions(times, kGap));
    expect_runs(other_way, reference::sessions(times, kGap));
  }
  EXPECT_GT(estimates, 500);
  EXPECT_GT(exact, 500);
}

TEST(SessionProperty, APartialProfileTakesItsHistoryBack) {
  // Evicted with 5 sessions; the user comes back within the last one before the history does.
  Sessions stored;
  stored.apply({0, 1000, 2000, 3000, 4000, 4010});
  Sessions partial;
  partial.apply({4090, 4150});
  partial.merge(stored);
  EXPECT_FALSE(partial.estimated());
  EXPECT_EQ(partial.at(4150).count, 5U);
  EXPECT_EQ(partial.at(4150).events, 4U);
  EXPECT_EQ(partial.at(4150).started_us, 4000);
}

}  // namespace
}  // namespace deja::features
