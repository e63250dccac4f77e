#include "ingest/journal_watch.h"

#include <gtest/gtest.h>

#include <memory>

#include "ingest/event_sink.h"
#include "tests/ingest/sink/test_appliance.h"

namespace deja {
namespace {

constexpr std::int64_t kNow = 1'700'000'000'000'000;
constexpr auto kApplied = schema::AckLevel::APPLIED;
constexpr auto kDurable = schema::AckLevel::DURABLE;

class JournalWatchTest : public testing::Test {
 protected:
  static SinkAppliance::Options shop(std::uint32_t worker_count) {
    SinkAppliance::Options options;
    options.events = {{"any", schema::Call::TRACK, "*", {}}};
    options.worker_count = worker_count;
    return options;
  }
  explicit JournalWatchTest(std::uint32_t worker_count = 1) : appliance_(shop(worker_count)) {
    event_->call = CallType::kTrack;
    event_->name = "x";
    event_->user_id = "u1";
  }
  [[nodiscard]] EventSink& sink() { return appliance_.sink(); }
  SinkOutcome submit(schema::AckLevel level) {
    return sink().submit(*event_, kNow, level, refusal_, placed_);
  }
  Placed commit() {
    EXPECT_EQ(submit(kDurable), SinkOutcome::kCommitted);
    sink().publish();
    return placed_;
  }
  std::uint64_t total(const std::string& name) {
    return appliance_.counter("deja_" + name + "_total{thread=\"0\"}");
  }

  SinkAppliance appliance_;
  std::unique_ptr<Extraction> event_ = std::make_unique<Extraction>();
  Refusal refusal_;
  Placed placed_;
};

TEST_F(JournalWatchTest, ConsumedIsNotDurable) {
  const Placed placed = commit();
  EXPECT_EQ(appliance_.records().size(), 1U);
  sink().refresh();
  EXPECT_TRUE(sink().covers(placed, kApplied));
  EXPECT_FALSE(sink().covers(placed, kDurable));
  EXPECT_FALSE(sink().has_news());
  appliance_.make_durable();
  EXPECT_TRUE(sink().has_news());
  EXPECT_FALSE(sink().covers(placed, kDurable));
  sink().refresh();
  EXPECT_FALSE(sink().has_news());
  EXPECT_TRUE(sink().covers(placed, kDurable));
}

TEST_F(JournalWatchTest, DurableIsNotConsumed) {
  const Placed placed = commit();
  appliance_.make_durable(0, placed.end_position);
  sink().refresh();
  EXPECT_FALSE(sink().covers(placed, kDurable)) << "its worker's verdict is not known yet";
  EXPECT_EQ(appliance_.records().size(), 1U);
  sink().refresh();
  EXPECT_TRUE(sink().covers(placed, kDurable));
}

TEST_F(JournalWatchTest, APositionAheadOfWhatWasPublishedAnswersForNothing) {
  const Placed first = commit();
  const Placed second = commit();
  EXPECT_EQ(appliance_.records().size(), 2U);
  appliance_.make_durable(0, first.end_position);
  sink().refresh();
  for (const std::uint64_t lie : {second.end_position + 8, ~std::uint64_t{0}}) {
    appliance_.make_durable(0, lie);
    EXPECT_FALSE(sink().has_news());
    sink().refresh();
    EXPECT_TRUE(sink().covers(first, kDurable));
    EXPECT_FALSE(sink().covers(second, kDurable));
  }
}

TEST_F(JournalWatchTest, WhatWasDurableStaysDurable) {
  const Placed placed = commit();
  EXPECT_EQ(appliance_.records().size(), 1U);
  appliance_.make_durable();
  sink().refresh();
  appliance_.make_durable(0, 0);  // a keeper that begins anew
  EXPECT_FALSE(sink().has_news());
  sink().refresh();
  EXPECT_TRUE(sink().covers(placed, kDurable));
}

// An id that is known is not on disk yet: the ack of a resend must not come before the original's.
TEST_F(JournalWatchTest, ADuplicateIsNotCoveredBeforeItsOriginalIsDurable) {
  event_->message_id = "m1";
  const Placed original = commit();
  const Placed duplicate = commit();
  EXPECT_EQ(appliance_.records().size(), 2U);
  sink().refresh();
  EXPECT_FALSE(sink().covers(duplicate, kDurable));
  appliance_.make_durable(0, original.end_position);
  sink().refresh();
  EXPECT_TRUE(sink().covers(original, kDurable));
  EXPECT_FALSE(sink().covers(duplicate, kDurable));
  appliance_.make_durable(0, duplicate.end_position);
  sink().refresh();
  EXPECT_TRUE(sink().covers(duplicate, kDurable));
}

TEST_F(JournalWatchTest, WhileTheJournalIsFullDurableEventsAreRefusedBeforeTheyAreInARing) {
  for (const auto& [state, code] : {std::pair{JournalState::kFull, "journal_full"},
                                    std::pair{JournalState::kFailed, "journal_failed"}}) {
    appliance_.set_journal(state);
    EXPECT_TRUE(sink().has_news());
    sink().refresh();
    EXPECT_FALSE(sink().has_news());
    EXPECT_EQ(submit(kDurable), SinkOutcome::kRefused);
    EXPECT_STREQ(refusal_.code, code);
    EXPECT_EQ(appliance_.rejected(code), 1U);
    EXPECT_EQ(appliance_.acks_refused(code), 0U);
    EXPECT_EQ(submit(kApplied), SinkOutcome::kCommitted);
    sink().publish();
    EXPECT_EQ(appliance_.records().size(), 1U);
    appliance_.set_journal(JournalState::kWriting);
    sink().refresh();
    EXPECT_EQ(submit(kDurable), SinkOutcome::kCommitted);
    sink().publish();
    EXPECT_EQ(appliance_.records().size(), 1U);
  }
  EXPECT_EQ(total("events_received"), total("ring_records") + appliance_.rejected_sum());
}

TEST_F(JournalWatchTest, AnEventInARingLosesItsAckButIsNotCountedAsRejected) {
  const Placed covered = commit();
  const Placed left = commit();
  EXPECT_EQ(appliance_.records().size(), 2U);
  appliance_.make_durable(0, covered.end_position);
  EXPECT_EQ(sink().ack_trouble(kDurable, 0), nullptr) << "before a keeper has begun, acks wait";
  appliance_.set_journal(JournalState::kFull);
  sink().refresh();
  EXPECT_EQ(sink().ack_trouble(kApplied, 0), nullptr);
  const char* trouble = sink().ack_trouble(kDurable, 0);
  ASSERT_STREQ(trouble, "journal_full");
  EXPECT_TRUE(sink().settle(covered, kDurable, trouble, refusal_));
  EXPECT_FALSE(sink().settle(left, kDurable, trouble, refusal_));
  EXPECT_STREQ(refusal_.code, "journal_full");
  EXPECT_EQ(appliance_.acks_refused("journal_full"), 1U);
  EXPECT_EQ(appliance_.rejected_sum(), 0U);
  EXPECT_EQ(total("events_received"), 2U);
}

TEST_F(JournalWatchTest, ADiskThatTakesTooLongIsNotWaitedForWithoutEnd) {
  const Placed placed = commit();
  EXPECT_EQ(appliance_.records().size(), 1U);
  appliance_.set_journal(JournalState::kWriting);
  sink().refresh();
  EXPECT_EQ(sink().ack_trouble(kDurable, kJournalWaitUs - 1), nullptr);
  EXPECT_EQ(sink().ack_trouble(kApplied, kJournalWaitUs), nullptr);
  const char* trouble = sink().ack_trouble(kDurable, kJournalWaitUs);
  ASSERT_STREQ(trouble, "journal_stalled");
  EXPECT_FALSE(sink().settle(placed, kDurable, trouble, refusal_));
  EXPECT_EQ(appliance_.acks_refused("journal_stalled"), 1U);
  EXPECT_EQ(submit(kDurable), SinkOutcome::kCommitted) << "the next one may be luckier";
}

TEST_F(JournalWatchTest, AWorkersRefusalIsToldWhateverTheJournalIsUpTo) {
  const Placed placed = commit();
  EXPECT_EQ(appliance_.records(0, false).size(), 1U);
  appliance_.give_verdict(0, placed.end_position, RefusalReason::kBrokenRecord);
  appliance_.consume(0);
  appliance_.set_journal(JournalState::kFailed);
  sink().refresh();
  EXPECT_FALSE(sink().settle(placed, kDurable, sink().ack_trouble(kDurable, 0), refusal_));
  EXPECT_STREQ(refusal_.code, "broken_record");
  EXPECT_EQ(appliance_.acks_refused("journal_failed"), 0U);
}

class JournalOfTwoWorkersTest : public JournalWatchTest {
 protected:
  JournalOfTwoWorkersTest() : JournalWatchTest(2) {}
};

TEST_F(JournalOfTwoWorkersTest, EachRingHasItsOwnPosition) {
  Placed placed[2];
  bool there[2] = {false, false};
  for (int number = 0; number < 64 && !(there[0] && there[1]); ++number) {
    const std::string user = "u" + std::to_string(number);
    event_->user_id = user;
    const Placed one = commit();
    placed[one.worker] = one;
    there[one.worker] = true;
  }
  ASSERT_TRUE(there[0] && there[1]);
  for (const std::uint32_t worker : {0U, 1U}) EXPECT_FALSE(appliance_.records(worker).empty());
  appliance_.make_durable(1, placed[1].end_position);
  sink().refresh();
  EXPECT_FALSE(sink().covers(placed[0], kDurable));
  EXPECT_TRUE(sink().covers(placed[1], kDurable));
}

}  // namespace
}  // namespace deja
