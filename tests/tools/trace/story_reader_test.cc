#include "tools/trace/story_reader.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <vector>

#include "ring/log_record.h"
#include "shm/base/clock.h"
#include "tests/support/followed_lane.h"
#include "tests/support/segment_fixture.h"
#include "tools/trace/story_text.h"

namespace deja {
namespace {

constexpr std::int64_t kLong = std::int64_t{1} << 62U;

class StoryReaderTest : public testing::Test {
 protected:
  StoryReaderTest()
      : reader_(std::make_unique<StoryReader>(std::move(*StoryReader::open(fixture_.segment())))) {}
  [[nodiscard]] TraceLaneLayout& lane(std::uint32_t at) {
    return fixture_.file("trace-ingest-0").at<TraceLaneLayout>()[at];
  }
  [[nodiscard]] std::uint32_t aside() const { return fixture_.plan().worker_count; }
  void worker_says(std::uint64_t number, LogKind kind) {
    WorkerMark mark{};
    mark.taken_ns = mark.visible_ns = 2;
    mark.kind = static_cast<std::uint8_t>(kind);
    auto& marks = fixture_.file("trace-worker-0").at<WorkerTraceLayout>()->marks;
    write_cell(marks[number % kTraceSlots], number, mark);
  }
  void keeper_says(std::uint64_t number, std::int64_t flushed_ns) {
    auto& marks = fixture_.file("trace-keeper").at<KeeperTraceLayout>()->marks;
    write_cell(marks[number % kTraceSlots], number, KeeperMark{3, flushed_ns});
  }
  void answer(std::uint64_t number) {
    set_word(lane(0).slots[number % kTraceSlots], offsetof(TraceSlot, answered_ns), 4);
  }
  [[nodiscard]] std::vector<Story> poll(std::int64_t wait_ns = kLong) {
    return reader_->poll(steady_ns(), wait_ns);
  }

  SegmentFixture fixture_;
  std::unique_ptr<StoryReader> reader_;
};

TEST_F(StoryReaderTest, TellsAStoryOnceWhenItIsWhole) {
  follow(lane(0), 100);
  EXPECT_TRUE(poll().empty());
  EXPECT_EQ(reader_->open_count(), 1U);
  worker_says(0, LogKind::kApplied);
  keeper_says(0, 5);
  EXPECT_TRUE(poll().empty());
  answer(0);
  const std::vector<Story> told = poll();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told[0].whole);
  EXPECT_EQ(told[0].keeper_mark->flushed_ns, 5);
  EXPECT_NE(told[0].span, 0U);
  EXPECT_NE(told[0].trace_high | told[0].trace_low, 0U);
  EXPECT_TRUE(poll().empty());
  EXPECT_EQ(reader_->open_count(), 0U);
}

TEST_F(StoryReaderTest, WhatWasBeforeIsNotSeen) {
  follow(lane(0), 100);
  reader_ = std::make_unique<StoryReader>(std::move(*StoryReader::open(fixture_.segment())));
  EXPECT_TRUE(poll(0).empty());
  EXPECT_EQ(reader_->collected(0), 1U);
}

TEST_F(StoryReaderTest, SlotsAreGivenBackInTheirOrder) {
  follow(lane(0), 100);
  follow(lane(0), 200);
  worker_says(1, LogKind::kDuplicate);
  keeper_says(1, 0);
  answer(1);
  EXPECT_EQ(poll().size(), 1U);
  EXPECT_EQ(reader_->collected(0), 0U) << "the first one still goes on";
  const std::vector<Story> told = poll(0);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_FALSE(told[0].whole) << "given up";
  EXPECT_EQ(reader_->collected(0), 2U);
}

TEST_F(StoryReaderTest, EventsOfNoRingAreToldAtOnce) {
  TraceSlot slot{};
  slot.outcome = TraceOutcome::kUnmatched;
  slot.received_ns = slot.committed_ns = 1;
  write_cell(lane(aside()).slots[0], 0, slot);
  lane(aside()).count.store(1);
  const std::vector<Story> told = poll();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_FALSE(told[0].placed);
  EXPECT_EQ(reader_->collected(aside()), 1U);
}

TEST_F(StoryReaderTest, AnEventThatDiedWithItsIngestIsToldAtOnce) {
  follow(lane(0), 100);
  EXPECT_TRUE(poll().empty());
  TraceSlot slot{};
  ASSERT_TRUE(read_cell(lane(0).slots[0], 0, slot));
  slot.outcome = TraceOutcome::kAbandoned;
  write_cell(lane(0).slots[0], 0, slot);
  const std::vector<Story> told = poll();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].slot.outcome, TraceOutcome::kAbandoned);
}

TEST_F(StoryReaderTest, AnEffectIsToldWhenRedisHasIt) {
  follow(lane(0), 100);
  worker_says(0, LogKind::kApplied);
  answer(0);
  keeper_says(0, 0);
  EXPECT_TRUE(poll().empty());
  EXPECT_TRUE(poll().empty()) << "now that its worker's mark is known";
  keeper_says(0, 5);
  EXPECT_EQ(poll().size(), 1U);
}

TEST_F(StoryReaderTest, WhatIngestSaysOfTimeHoldsNothingUp) {
  for (const std::int64_t lie :
       {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
    TraceSlot slot{};
    slot.outcome = TraceOutcome::kPlaced;
    slot.end_position = 100;
    slot.received_ns = slot.committed_ns = slot.published_ns = lie;
    const std::uint64_t number = lane(0).count.load();
    write_cell(lane(0).slots[number % kTraceSlots], number, slot);
    lane(0).count.store(number + 1);
    const std::vector<Story> told = poll(0);
    ASSERT_EQ(told.size(), 1U) << lie;
    EXPECT_TRUE(stages_of(told[0]).empty());
    EXPECT_FALSE(story_json(told[0]).empty());
  }
}

TEST_F(StoryReaderTest, ASlotThatIsAnotherEventsLeavesWhatWasKnown) {
  follow(lane(0), 100);
  EXPECT_TRUE(poll().empty());
  write_cell(lane(0).slots[0], kTraceSlots, TraceSlot{});
  const std::vector<Story> told = poll(0);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].slot.end_position, 100U);
}

TEST_F(StoryReaderTest, CountsThatMakeNoSenseCostStoriesAndNothingElse) {
  for (const std::uint64_t lie : {~std::uint64_t{0}, std::uint64_t{1} << 50U}) {
    lane(0).count.store(lie);
    EXPECT_TRUE(poll(0).empty());
    EXPECT_GE(reader_->dropped_count(), kTraceSlots);
  }
  lane(0).count.store(0);
  EXPECT_TRUE(poll(0).empty());
  follow(lane(0), 100);
  EXPECT_EQ(poll(0).size(), 1U);
}

TEST_F(StoryReaderTest, ACountThatRunsAwayTakesNoMoreMemoryThanSlots) {
  for (std::uint64_t number = 0; number < 3 * kTraceSlots; ++number) {
    follow(lane(0), (number + 1) * 8);
    if (number % 100 == 0) (void)poll();
  }
  (void)poll();
  EXPECT_LE(reader_->open_count(), kTraceSlots);
}

}  // namespace
}  // namespace deja
