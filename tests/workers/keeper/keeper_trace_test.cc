#include "workers/keeper/keeper_trace.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "ring/log_record.h"
#include "tests/support/followed_lane.h"
#include "tests/support/segment_fixture.h"

namespace deja {
namespace {

constexpr std::int64_t kDurableNs = 4711;

class KeeperTraceTest : public testing::Test {
 protected:
  KeeperTraceTest() { reopen(); }
  void reopen() {
    trace_ = std::make_unique<KeeperTrace>(
        std::move(*KeeperTrace::open(fixture_.segment(), watermarks_.data())));
  }
  [[nodiscard]] TraceLaneLayout& lane() {
    return *fixture_.file("trace-ingest-0").at<TraceLaneLayout>();
  }
  void worker_says(std::uint64_t number, std::uint32_t shard, std::uint64_t sequence) {
    auto& worker = *fixture_.file("trace-worker-0").at<WorkerTraceLayout>();
    WorkerMark mark{};
    mark.taken_ns = mark.visible_ns = 1;
    mark.sequence = sequence;
    mark.shard = shard;
    mark.kind = static_cast<std::uint8_t>(sequence == 0 ? LogKind::kDuplicate : LogKind::kApplied);
    write_cell(worker.marks[number % kTraceSlots], number, mark);
    worker.count.store(number + 1);
  }
  void durable_to(std::uint64_t position) {
    positions_[0].value.store(position);
    trace_->durable(positions_.data(), kDurableNs);
  }
  void redis_has(std::uint32_t shard, std::uint64_t sequence) {
    watermarks_[shard].store(sequence);
    trace_->flushed(shard);
  }
  [[nodiscard]] KeeperMark mark(std::uint64_t number) {
    KeeperMark found{};
    const auto& marks = fixture_.file("trace-keeper").at<KeeperTraceLayout>()->marks;
    if (!marked(marks, number, found)) return {};
    return found;
  }

  SegmentFixture fixture_;
  std::array<PositionLayout, 64> positions_{};
  std::array<std::atomic<std::uint64_t>, 64> watermarks_{};
  std::unique_ptr<KeeperTrace> trace_;
};

TEST_F(KeeperTraceTest, MarksWhatADurablePositionHasPassed) {
  follow(lane(), 100);
  follow(lane(), 200);
  durable_to(100);
  EXPECT_EQ(mark(0).durable_ns, kDurableNs);
  EXPECT_EQ(mark(1).durable_ns, 0);
  durable_to(200);
  EXPECT_EQ(mark(1).durable_ns, kDurableNs);
  EXPECT_EQ(mark(1).flushed_ns, 0);
}

TEST_F(KeeperTraceTest, AnEventIsInRedisOnceItsShardsWatermarkHasItsSequence) {
  follow(lane(), 100);
  follow(lane(), 200);
  worker_says(0, 1, 7);
  worker_says(1, 2, 3);
  durable_to(200);
  redis_has(2, 2);
  redis_has(1, 6);
  EXPECT_EQ(mark(0).flushed_ns + mark(1).flushed_ns, 0);
  redis_has(2, 3);
  EXPECT_GT(mark(1).flushed_ns, 0);
  EXPECT_EQ(mark(0).flushed_ns, 0) << "another shard's";
  redis_has(1, 9);
  EXPECT_GT(mark(0).flushed_ns, 0);
}

TEST_F(KeeperTraceTest, AWorkerMayBeLateWithItsMark) {
  follow(lane(), 100);
  durable_to(100);
  redis_has(1, 7);
  EXPECT_EQ(mark(0).flushed_ns, 0);
  worker_says(0, 1, 7);
  trace_->tend();
  EXPECT_GT(mark(0).flushed_ns, 0);
}

TEST_F(KeeperTraceTest, WhatHasNoEffectIsNeverInRedis) {
  follow(lane(), 100);
  worker_says(0, 1, 0);
  durable_to(100);
  redis_has(1, 100);
  EXPECT_EQ(mark(0).durable_ns, kDurableNs);
  EXPECT_EQ(mark(0).flushed_ns, 0);
}

TEST_F(KeeperTraceTest, OneThatWasAbandonedOrNeverMarkedHoldsUpNobody) {
  follow(lane(), 0);
  follow(lane(), 100);
  follow(lane(), 200);
  worker_says(2, 1, 7);  // and has passed the others
  durable_to(200);
  redis_has(1, 7);
  EXPECT_EQ(mark(0).durable_ns, 0);
  EXPECT_EQ(mark(1).durable_ns, kDurableNs);
  EXPECT_EQ(mark(1).flushed_ns, 0);
  EXPECT_GT(mark(2).flushed_ns, 0);
}

TEST_F(KeeperTraceTest, ASuccessorMarksWhatIsLeftAndNothingAnew) {
  follow(lane(), 100);
  follow(lane(), 200);
  worker_says(0, 1, 7);
  durable_to(100);
  const std::int64_t durable_ns = mark(0).durable_ns;
  watermarks_[1].store(7);  // and was killed before it could say so
  reopen();
  worker_says(1, 1, 8);
  durable_to(200);
  EXPECT_EQ(mark(0).durable_ns, durable_ns);
  EXPECT_GT(mark(0).flushed_ns, 0);
  EXPECT_EQ(mark(1).flushed_ns, 0);
  redis_has(1, 8);
  EXPECT_GT(mark(1).flushed_ns, 0);
}

TEST_F(KeeperTraceTest, WithRedisAwayThoseWhoseSlotsAreUsedAgainAreForgotten) {
  for (std::uint64_t number = 0; number < 5 * kTraceSlots; ++number) {
    follow(lane(), (number + 1) * 100);
    worker_says(number, 1, number + 1);
    durable_to((number + 1) * 100);
  }
  redis_has(1, 5 * kTraceSlots);
  for (std::uint64_t number = 4 * kTraceSlots; number < 5 * kTraceSlots; ++number) {
    ASSERT_GT(mark(number).flushed_ns, 0) << number;
  }
}

TEST_F(KeeperTraceTest, CountsAndMarksThatMakeNoSenseCostMarksAndNothingElse) {
  follow(lane(), 100);
  worker_says(0, 1U << 31U, 7);
  durable_to(100);
  redis_has(1, 7);
  EXPECT_EQ(mark(0).flushed_ns, 0) << "a shard that there is not";
  fixture_.file("trace-worker-0").at<WorkerTraceLayout>()->count.store(~std::uint64_t{0});
  lane().count.store(~std::uint64_t{0});
  durable_to(200);
  redis_has(1, 8);
  lane().count.store(1);
  durable_to(300);
  follow(lane(), 400);
  worker_says(1, 1, 9);
  durable_to(400);
  redis_has(1, 9);
  EXPECT_GT(mark(1).flushed_ns, 0);
}

}  // namespace
}  // namespace deja
