// The level of a connection's acks, and what becomes of them when the journal has trouble.
#include <gtest/gtest.h>

#include "ingest/journal_watch.h"
#include "tests/ingest/stream/stream_harness.h"

namespace deja {
namespace {

using stream_schema::AckLevel;

SinkAppliance::Options shop(bool durable) {
  auto options = StreamHarness::shop();
  options.durable = durable;
  return options;
}

std::vector<FillEvent> many(std::size_t count) {
  return std::vector<FillEvent>(count, track("Product Viewed"));
}

TEST(StreamAck, TheLevelIsWhatTheHelloAsksForOrTheAppliances) {
  const struct {
    bool durable;
    AckLevel asked;
    AckLevel given;
  } cases[] = {{false, AckLevel::OF_SERVER, AckLevel::APPLIED},
               {true, AckLevel::OF_SERVER, AckLevel::DURABLE},
               {false, AckLevel::APPLIED, AckLevel::APPLIED},
               {true, AckLevel::APPLIED, AckLevel::APPLIED},
               {false, AckLevel::DURABLE, AckLevel::DURABLE},
               {true, AckLevel::DURABLE, AckLevel::DURABLE}};
  for (const auto& wanted : cases) {
    StreamHarness harness(shop(wanted.durable));
    harness.receive(hello_frame("", 1, wanted.asked));
    harness.receive(batch_frame(1, many(1)));
    harness.journal_keeps_up = false;
    harness.pass();
    const auto before = harness.output->answers();
    ASSERT_EQ(before.size(), wanted.given == AckLevel::APPLIED ? 2U : 1U);
    EXPECT_EQ(before[0].level, wanted.given);
    harness.journal_keeps_up = true;
    harness.pass();
    const auto after = harness.output->answers();
    EXPECT_EQ(before.size() + after.size(), 2U);
    const Answer& ack = after.empty() ? before[1] : after[0];
    EXPECT_EQ(ack.which, stream_schema::StreamMessage::ACK);
    EXPECT_EQ(ack.level, wanted.given);
    EXPECT_TRUE(ack.rejects.empty());
  }
}

TEST(StreamAck, ConnectionsOfBothLevelsLiveSideBySide) {
  StreamHarness harness(shop(true));
  harness.journal_keeps_up = false;
  harness.receive(hello_frame());
  harness.receive(batch_frame(1, many(2)));
  const auto other = harness.factory->make_handler();
  CollectedOutput output;
  other->on_open(output);
  other->on_receive(hello_frame("", 1, AckLevel::APPLIED), harness.now_us);
  other->on_receive(batch_frame(1, many(2)), harness.now_us);
  harness.pass();
  other->on_pass(harness.now_us);
  EXPECT_EQ(harness.output->answers().size(), 1U);
  EXPECT_EQ(output.answers().size(), 2U);
  other->on_close();
}

TEST(StreamAck, AJournalThatIsFullRejectsWhatWaitsToBeSentAgain) {
  StreamHarness harness(shop(true));
  harness.journal_keeps_up = false;
  harness.receive(hello_frame());
  harness.receive(batch_frame(1, many(2)));
  harness.receive(batch_frame(2, many(2)));
  harness.pass();
  ASSERT_EQ(harness.records.size(), 4U);
  harness.appliance.make_durable(0, harness.records[2].end_position);
  harness.appliance.set_journal(JournalState::kFull);
  harness.pass();
  const auto answers = harness.output->answers();
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_TRUE(answers[1].rejects.empty()) << "it is on disk";
  ASSERT_EQ(answers[2].rejects.size(), 1U);
  EXPECT_EQ(answers[2].rejects[0].index, 1U);
  EXPECT_EQ(answers[2].rejects[0].code, "journal_full");
  EXPECT_TRUE(answers[2].rejects[0].retry);
  EXPECT_EQ(harness.appliance.acks_refused("journal_full"), 1U);
  EXPECT_EQ(harness.appliance.rejected_sum(), 0U);
  EXPECT_TRUE(harness.sums_agree());
  EXPECT_FALSE(harness.handler->busy());
}

TEST(StreamAck, AJournalThatFailedRejectsNewEventsBeforeTheyAreInARing) {
  StreamHarness harness(shop(true));
  harness.receive(hello_frame());
  harness.appliance.set_journal(JournalState::kFailed);
  harness.pass();
  const auto answers = harness.answers_to(batch_frame(1, many(3)));
  ASSERT_EQ(answers.size(), 2U);
  ASSERT_EQ(answers[1].rejects.size(), 3U);
  for (const SeenReject& reject : answers[1].rejects) {
    EXPECT_EQ(reject.code, "journal_failed");
    EXPECT_TRUE(reject.retry);
  }
  EXPECT_TRUE(harness.records.empty());
  EXPECT_EQ(harness.appliance.rejected("journal_failed"), 3U);
  EXPECT_TRUE(harness.sums_agree());
  harness.appliance.set_journal(JournalState::kWriting);
  harness.pass();
  const auto later = harness.answers_to(batch_frame(2, many(3)));
  ASSERT_EQ(later.size(), 1U);
  EXPECT_TRUE(later[0].rejects.empty());
}

TEST(StreamAck, ADiskThatStallsIsNotWaitedForWithoutEnd) {
  StreamHarness harness(shop(true));
  harness.journal_keeps_up = false;
  harness.receive(hello_frame());
  harness.receive(batch_frame(1, many(1)));
  harness.now_us += kJournalWaitUs / 2;
  harness.receive(batch_frame(2, many(1)));
  harness.now_us += kJournalWaitUs / 2 - 1;
  harness.pass();
  EXPECT_EQ(harness.output->answers().size(), 1U);
  harness.now_us += 1;
  harness.pass();
  const auto answers = harness.output->answers();
  ASSERT_EQ(answers.size(), 1U) << "the second batch has not waited that long";
  ASSERT_EQ(answers[0].rejects.size(), 1U);
  EXPECT_EQ(answers[0].rejects[0].code, "journal_stalled");
  EXPECT_TRUE(answers[0].rejects[0].retry);
  harness.journal_keeps_up = true;
  harness.pass();
  EXPECT_TRUE(harness.output->answers().at(0).rejects.empty());
}

}  // namespace
}  // namespace deja
