#include "workers/worker_trace.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "shm/base/clock.h"
#include "tests/support/followed_lane.h"
#include "tests/support/worker_world.h"

namespace deja {
namespace {

/// One ring, its lane, and a batch whose log records lie as a log has them.
class WorkerTraceTest : public testing::Test {
 protected:
  WorkerTraceTest() { reopen(); }
  void reopen() {
    trace_ = std::make_unique<WorkerTrace>(marks_.get(),
                                           std::vector<const TraceLaneLayout*>{lane_.get()});
  }
  void pass(const std::vector<LogRecordLayout>& logged) {
    std::vector<std::vector<std::uint8_t>> log;
    std::vector<BatchRecord> batch;
    for (const LogRecordLayout& record : logged) {
      auto& bytes = log.emplace_back(sizeof record);
      std::memcpy(bytes.data(), &record, sizeof record);
      BatchRecord& taken = batch.emplace_back();
      taken.logged = bytes.data();
    }
    if (trace_->due(0)) trace_->passed(0, batch, times_);
  }
  static LogRecordLayout applied(std::uint64_t ring_end, std::uint64_t sequence) {
    LogRecordLayout record{};
    record.kind = LogKind::kApplied;
    record.ring_end = ring_end;
    record.sequence = sequence;
    record.shard = 3;
    record.consumed_us = wall_us();
    return record;
  }
  static LogRecordLayout of_kind(LogKind kind, std::uint64_t ring_end) {
    LogRecordLayout record = applied(ring_end, 0);
    record.kind = kind;
    return record;
  }
  [[nodiscard]] bool has_mark(std::uint64_t number) { return marked(marks_->marks, number, mark_); }

  std::unique_ptr<TraceLaneLayout> lane_ = std::make_unique<TraceLaneLayout>();
  std::unique_ptr<WorkerTraceLayout> marks_ = std::make_unique<WorkerTraceLayout>();
  std::unique_ptr<WorkerTrace> trace_;
  WorkerMark mark_{};
  const WorkerTrace::Times times_ = WorkerTrace::times_since(wall_us() - 1000);
};

TEST_F(WorkerTraceTest, WithNobodyFollowedNothingIsDue) {
  EXPECT_FALSE(trace_->due(0));
}

TEST_F(WorkerTraceTest, MarksThoseThatAreFollowedAndNoOthers) {
  follow(*lane_, 200);
  follow(*lane_, 400);
  follow(*lane_, 900);
  pass({applied(100, 1), applied(200, 2), of_kind(LogKind::kDuplicate, 300),
        of_kind(LogKind::kDuplicate, 400), applied(500, 3)});
  ASSERT_TRUE(has_mark(0));
  EXPECT_EQ(mark_.sequence, 2U);
  EXPECT_EQ(mark_.shard, 3U);
  EXPECT_EQ(mark_.kind, static_cast<std::uint8_t>(LogKind::kApplied));
  EXPECT_EQ(mark_.taken_ns, times_.taken_ns);
  EXPECT_EQ(mark_.visible_ns, times_.visible_ns);
  ASSERT_TRUE(has_mark(1));
  EXPECT_EQ(mark_.kind, static_cast<std::uint8_t>(LogKind::kDuplicate));
  EXPECT_EQ(mark_.sequence, 0U);
  EXPECT_FALSE(has_mark(2)) << "its batch is still to come";
  EXPECT_TRUE(trace_->due(0));
  EXPECT_EQ(marks_->count.load(), 2U);
  pass({applied(900, 4)});
  EXPECT_TRUE(has_mark(2));
  EXPECT_FALSE(trace_->due(0));
}

TEST_F(WorkerTraceTest, TimesAreOfOneClockAndInTheirOrder) {
  EXPECT_GT(times_.taken_ns, 0);
  EXPECT_GE(times_.visible_ns, times_.taken_ns + 1'000'000);
  EXPECT_LE(times_.visible_ns, steady_ns());
  const auto of_the_future = WorkerTrace::times_since(wall_us() + 1'000'000'000);
  EXPECT_EQ(of_the_future.taken_ns, of_the_future.visible_ns);
}

TEST_F(WorkerTraceTest, WhatWasAbandonedOrMissedIsPassed) {
  follow(*lane_, 0);
  follow(*lane_, 150);  // no record ends there
  follow(*lane_, 200);
  pass({applied(100, 1), applied(200, 2)});
  EXPECT_FALSE(has_mark(0));
  EXPECT_FALSE(has_mark(1));
  EXPECT_TRUE(has_mark(2));
  EXPECT_EQ(marks_->count.load(), 3U);
}

TEST_F(WorkerTraceTest, ACountThatMakesNoSenseCostsMarksAndNothingElse) {
  follow(*lane_, 100);
  for (const std::uint64_t lie : {~std::uint64_t{0}, std::uint64_t{1} << 40U, kTraceSlots * 3}) {
    lane_->count.store(lie);
    pass({applied(100, 1)});
    EXPECT_FALSE(trace_->due(0));
  }
  lane_->count.store(0);
  EXPECT_TRUE(trace_->due(0));
  pass({applied(200, 2)});
  EXPECT_FALSE(trace_->due(0)) << "it follows the lane back";
  follow(*lane_, 300);
  pass({applied(300, 3)});
  EXPECT_TRUE(has_mark(0));
}

TEST_F(WorkerTraceTest, ASuccessorGoesOnWhereTheMarksEnd) {
  follow(*lane_, 100);
  follow(*lane_, 200);
  pass({applied(100, 1)});
  ASSERT_TRUE(has_mark(0));
  const std::int64_t visible_ns = mark_.visible_ns;
  reopen();
  LogRecordLayout decision = of_kind(LogKind::kDead, 200);
  decision.sequence = 2;
  trace_->redone(decision);
  LogRecordLayout merged = of_kind(LogKind::kMerged, 0);
  trace_->redone(merged);
  EXPECT_FALSE(has_mark(1)) << "those are about no record of the ring";
  trace_->redone(applied(100, 1));
  trace_->redone(applied(200, 2));
  ASSERT_TRUE(has_mark(1));
  EXPECT_EQ(mark_.sequence, 2U);
  ASSERT_TRUE(has_mark(0));
  EXPECT_EQ(mark_.visible_ns, visible_ns) << "it had been seen before";
}

TEST(WorkerTraceInAWorker, MarksWhatBecameOfEachEvent) {
  WorkerWorld world;
  world.start_fresh();
  auto& lane = *world.fixture.file("trace-ingest-0").at<TraceLaneLayout>();
  follow(lane, world.ingest.commit(view_of("ada", 1)));
  world.ingest.commit(view_of("bob", 2));
  follow(lane, world.ingest.commit(view_of("ada", 1)));
  follow(lane, world.ingest.commit(std::vector<std::uint8_t>(16)));
  follow(lane, world.ingest.commit(view_of("ada", 3)));
  world.ingest.publish();
  world.run_dry();
  const auto& marks = world.fixture.file("trace-worker-0").at<WorkerTraceLayout>()->marks;
  const auto kind_of = [&](std::uint64_t number) {
    WorkerMark mark{};
    EXPECT_TRUE(marked(marks, number, mark)) << number;
    return std::pair{static_cast<LogKind>(mark.kind), static_cast<RefusalReason>(mark.reason)};
  };
  EXPECT_EQ(kind_of(0), std::pair(LogKind::kApplied, RefusalReason::kNone));
  EXPECT_EQ(kind_of(1), std::pair(LogKind::kDuplicate, RefusalReason::kNone));
  EXPECT_EQ(kind_of(2), std::pair(LogKind::kDead, RefusalReason::kBrokenRecord));
  EXPECT_EQ(kind_of(3), std::pair(LogKind::kApplied, RefusalReason::kNone));
  WorkerMark mark{};
  ASSERT_TRUE(marked(marks, 3, mark));
  EXPECT_EQ(mark.shard, world.shard("ada"));
  EXPECT_EQ(mark.sequence, world.profile("ada").sequence);
}

}  // namespace
}  // namespace deja
