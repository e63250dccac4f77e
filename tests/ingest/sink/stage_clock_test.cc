#include "ingest/stage_clock.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>

#include "tests/ingest/sink/test_appliance.h"

namespace deja {
namespace {

constexpr std::int64_t kNow = 1'700'000'000'000'000;
constexpr std::uint32_t kWorkerCount = 2;

class StageClockTest : public testing::Test {
 protected:
  static SinkAppliance::Options shop() {
    SinkAppliance::Options options;
    options.events = {{"any", schema::Call::TRACK, "*", {}}};
    options.worker_count = kWorkerCount;
    return options;
  }
  /// What the process shows of a stage.
  [[nodiscard]] HistogramCopy stage(const std::string& name) const {
    for (const auto& [full, copy] : appliance_.view().histograms) {
      if (full == "deja_event_stage_seconds{stage=\"" + name + "\"}") return copy;
    }
    return {};
  }
  void built(std::uint64_t count, std::int64_t received_us = kNow) {
    for (std::uint64_t event = 0; event < count; ++event) clock_.built(received_us);
  }
  void published(std::uint64_t position, std::uint64_t count, std::int64_t now_us) {
    WallReading now(now_us);
    clock_.published(0, position, count, now);
    clock_.all_published(now);
  }
  void consumed(std::uint32_t worker, std::uint64_t position, std::int64_t now_us) {
    WallReading now(now_us);
    clock_.consumed(worker, position, now);
  }
  void pass_ended(std::int64_t now_us) {
    WallReading now(now_us);
    clock_.pass_ended(now);
  }

  SinkAppliance appliance_{shop()};
  StageClock clock_{appliance_.process(), kWorkerCount};
};

TEST_F(StageClockTest, EachEventCountsOnceFromReceiptToCommitAndFromThereToApplied) {
  built(5);
  WallReading now(kNow + 10);
  clock_.published(0, 300, 3, now);
  clock_.published(1, 200, 2, now);
  clock_.all_published(now);
  EXPECT_EQ(stage("receive_commit").count, 5U);
  EXPECT_EQ(stage("receive_commit").sum, 5 * 10'000U);
  EXPECT_EQ(stage("commit_applied").count, 0U);
  consumed(0, 299, kNow + 20);
  EXPECT_EQ(stage("commit_applied").count, 0U) << "its batch is not consumed whole";
  consumed(0, 300, kNow + 30);
  consumed(0, 300, kNow + 40);
  EXPECT_EQ(stage("commit_applied").count, 3U);
  EXPECT_EQ(stage("commit_applied").sum, 3 * 20'000U);
  consumed(1, 1000, kNow + 50);
  EXPECT_EQ(stage("commit_applied").count, 5U);
  EXPECT_EQ(stage("commit_applied").max, 40'000U);
}

TEST_F(StageClockTest, AStallShowsWithAllThatItHeldUp) {
  constexpr std::uint64_t kPasses = 10;
  for (std::uint64_t pass = 0; pass < kPasses; ++pass) {
    published(100 * (pass + 1), 100, kNow + static_cast<std::int64_t>(pass) * 1000);
  }
  consumed(0, 100 * kPasses, kNow + 1'000'000);
  const HistogramCopy applied = stage("commit_applied");
  EXPECT_EQ(applied.count, 100U * kPasses);
  EXPECT_GE(applied.quantile(0), 990'000'000U);
}

TEST_F(StageClockTest, BatchesBeyondThoseKeptCountWithTheLastOneKept) {
  for (std::uint64_t pass = 0; pass < 3 * StageClock::kMarksMax; ++pass) {
    published(pass + 1, 1, kNow + static_cast<std::int64_t>(pass));
  }
  consumed(0, StageClock::kMarksMax, kNow + 1000);
  EXPECT_EQ(stage("commit_applied").count, StageClock::kMarksMax - 1);
  consumed(0, 3 * StageClock::kMarksMax, kNow + 1000);
  EXPECT_EQ(stage("commit_applied").count, 3 * StageClock::kMarksMax);
  // And round again: the places are used anew.
  published(1000, 7, kNow);
  consumed(0, 1000, kNow + 5);
  EXPECT_EQ(stage("commit_applied").count, 3 * StageClock::kMarksMax + 7);
}

TEST_F(StageClockTest, AnEventThatWaitedForAFullRingDoesNotMakeOthersOld) {
  built(1, kNow - 50'000);
  built(99, kNow);
  published(100, 100, kNow + 10);
  const HistogramCopy commit = stage("receive_commit");
  EXPECT_EQ(commit.count, 100U);
  EXPECT_LT(commit.quantile(0.9), 11'000U);
  EXPECT_EQ(commit.max, 50'010'000U);
}

TEST_F(StageClockTest, ReceiptsBeyondThoseToldApartCountWithTheOldestOfThem) {
  for (std::int64_t receipt = 0; receipt < 100; ++receipt) built(1, kNow - receipt);
  built(1, kNow - 1);
  published(101, 101, kNow);
  EXPECT_EQ(stage("receive_commit").count, 101U);
  EXPECT_EQ(stage("receive_commit").max, 99'000U);
  built(1, kNow);
  published(102, 1, kNow + 1);
  EXPECT_EQ(stage("receive_commit").count, 102U);
}

TEST_F(StageClockTest, WhatIsLeftOfRejectedEventsIsNoEvent) {
  published(64, 0, kNow);
  consumed(0, 64, kNow + 9);
  EXPECT_EQ(stage("receive_commit").count, 0U);
  EXPECT_EQ(stage("commit_applied").count, 0U);
  EXPECT_EQ(stage("commit_applied").max, 0U);
}

TEST_F(StageClockTest, AckedIsTakenInThePassThatFoundThemDurable) {
  clock_.durable(kNow);
  clock_.acked(20);
  clock_.acked(1);
  pass_ended(kNow + 7);
  EXPECT_EQ(stage("durable_acked").count, 21U);
  EXPECT_EQ(stage("durable_acked").max, 7'000U);
  clock_.acked(3);  // they waited for something else
  pass_ended(kNow + 8);
  clock_.durable(kNow + 9);  // nobody waits for it
  pass_ended(kNow + 10);
  clock_.acked(4);
  pass_ended(kNow + 11);
  EXPECT_EQ(stage("durable_acked").count, 21U);
}

TEST_F(StageClockTest, AKeepersWordThatCanNotBeIsNoAge) {
  for (const std::int64_t word : {std::int64_t{0}, std::numeric_limits<std::int64_t>::min()}) {
    clock_.durable(word);
    clock_.acked(1);
    pass_ended(kNow);
  }
  EXPECT_EQ(stage("durable_acked").count, 0U);
  clock_.durable(std::numeric_limits<std::int64_t>::max());
  clock_.acked(1);
  pass_ended(kNow);
  EXPECT_EQ(stage("durable_acked").count, 1U);
  EXPECT_EQ(stage("durable_acked").max, 0U);
}

TEST_F(StageClockTest, AClockThatWasSetBackIsNoAge) {
  built(1);
  published(10, 1, kNow - 5);
  consumed(0, 10, kNow - 50);
  EXPECT_EQ(stage("receive_commit").max, 0U);
  EXPECT_EQ(stage("commit_applied").max, 0U);
  EXPECT_EQ(stage("commit_applied").count, 1U);
}

TEST_F(StageClockTest, TheSinkTellsOfEachStage) {
  EventSink& sink = appliance_.sink();
  auto event = std::make_unique<Extraction>();
  event->call = CallType::kTrack;
  event->name = "x";
  Refusal refusal;
  Placed placed;
  for (int user = 0; user < 50; ++user) {
    const std::string name = "u" + std::to_string(user);
    event->user_id = name;
    ASSERT_EQ(sink.submit(*event, wall_us(), schema::AckLevel::DURABLE, refusal, placed),
              SinkOutcome::kCommitted);
  }
  EXPECT_EQ(stage("receive_commit").count, 0U);
  sink.end_pass();
  EXPECT_EQ(stage("receive_commit").count, 50U);
  sink.refresh();
  EXPECT_EQ(stage("commit_applied").count, 0U);
  for (std::uint32_t worker = 0; worker < kWorkerCount; ++worker) {
    EXPECT_FALSE(appliance_.records(worker).empty());
    appliance_.make_durable(worker);
  }
  appliance_.durable_since(wall_us() - 1000);
  sink.refresh();
  EXPECT_EQ(stage("commit_applied").count, 50U);
  sink.count_acked(schema::AckLevel::APPLIED, 10);
  sink.count_acked(schema::AckLevel::DURABLE, 40);
  sink.end_pass();
  EXPECT_EQ(stage("durable_acked").count, 40U);
  EXPECT_GE(stage("durable_acked").quantile(0), 970'000U);
}

}  // namespace
}  // namespace deja
