#include "tools/trace/story.h"

#include <gtest/gtest.h>

#include <string>

#include "ring/log_record.h"
#include "ring/trace_cell.h"
#include "tools/trace/sample_rate.h"
#include "tools/trace/story_text.h"

namespace deja {
namespace {

Story placed_story() {
  Story story;
  story.placed = true;
  story.worker = 1;
  story.trace_high = 0x4bf92f3577b34da6;
  story.trace_low = 0xa3ce929d0e0e4736;
  story.span = 0x1122334455667788;
  story.slot.outcome = TraceOutcome::kPlaced;
  story.slot.call = 1;
  story.slot.received_ns = 1000;
  story.slot.committed_ns = 3000;
  story.slot.published_ns = 4000;
  set_text(story.slot.name, "view", 4);
  set_text(story.slot.message_id, "m1", 2);
  return story;
}

WorkerMark mark_of(LogKind kind, RefusalReason reason = RefusalReason::kNone) {
  WorkerMark mark{};
  mark.taken_ns = 5000;
  mark.visible_ns = 8000;
  mark.kind = static_cast<std::uint8_t>(kind);
  mark.reason = static_cast<std::uint8_t>(reason);
  if (kind == LogKind::kApplied) mark.sequence = 17;
  mark.shard = 3;
  return mark;
}

Story whole_story() {
  Story story = placed_story();
  story.worker_mark = mark_of(LogKind::kApplied);
  story.keeper_mark = KeeperMark{20'000, 90'000};
  story.slot.answered_ns = 21'000;
  story.slot.ack = kTraceAckDurable;
  story.whole = true;
  return story;
}

std::string names_of(const Story& story) {
  std::string names;
  for (const Stage& stage : stages_of(story)) names += std::string(stage.name) + ' ';
  return names;
}

TEST(Story, ItsStagesAreInTheOrderOfTheirTimes) {
  Story story = whole_story();
  EXPECT_EQ(names_of(story),
            "received committed published taken visible durable answered flushed ");
  story.slot.answered_ns = 9000;
  EXPECT_EQ(names_of(story),
            "received committed published taken visible answered durable flushed ");
  story.keeper_mark.reset();
  story.slot.published_ns = 0;
  EXPECT_EQ(names_of(story), "received committed taken visible answered ");
}

TEST(Story, AClockOfMicrosecondsTurnsNothingRound) {
  Story story = whole_story();
  story.worker_mark->taken_ns = 3900;
  EXPECT_EQ(names_of(story),
            "received committed published taken visible durable answered flushed ");
  EXPECT_EQ(stages_of(story)[3].at_ns, 4000);
}

TEST(Story, IsWholeWhenNothingMoreIsToCome) {
  Story story = whole_story();
  EXPECT_TRUE(is_whole(story));
  story.keeper_mark->flushed_ns = 0;
  EXPECT_FALSE(is_whole(story));
  story.worker_mark = mark_of(LogKind::kDuplicate);
  EXPECT_TRUE(is_whole(story)) << "it will never be in Redis";
  story.slot.answered_ns = 0;
  EXPECT_FALSE(is_whole(story));
  story.slot.answered_ns = 1;
  story.keeper_mark.reset();
  EXPECT_FALSE(is_whole(story));
  story.slot.outcome = TraceOutcome::kRefused;
  EXPECT_TRUE(is_whole(story));
}

TEST(Story, SaysWhatBecameOfIt) {
  Story story = placed_story();
  EXPECT_STREQ(outcome_of(story), "unknown");
  story.worker_mark = mark_of(LogKind::kApplied);
  EXPECT_STREQ(outcome_of(story), "applied");
  EXPECT_EQ(code_of(story), "");
  story.worker_mark = mark_of(LogKind::kRefused, RefusalReason::kTableFull);
  EXPECT_STREQ(outcome_of(story), "refused");
  EXPECT_EQ(code_of(story), "table_full");
  story.worker_mark = mark_of(LogKind::kDead, RefusalReason::kPoison);
  EXPECT_STREQ(outcome_of(story), "dead");
  EXPECT_EQ(code_of(story), "poison");
  story.worker_mark->kind = 200;
  story.worker_mark->reason = 200;
  EXPECT_STREQ(outcome_of(story), "unknown");
  EXPECT_EQ(code_of(story), "");
  story.slot.outcome = static_cast<TraceOutcome>(99);
  EXPECT_STREQ(outcome_of(story), "unknown");
  story.slot.outcome = TraceOutcome::kAbandoned;
  EXPECT_STREQ(outcome_of(story), "abandoned");
}

TEST(Story, AnAckIsWhatItsProducerWasTold) {
  Story story = whole_story();
  EXPECT_STREQ(ack_of(story), "durable");
  story.slot.ack = kTraceAckApplied;
  EXPECT_STREQ(ack_of(story), "applied");
  set_text(story.slot.code, "journal_full", 12);
  EXPECT_STREQ(ack_of(story), "") << "it was refused";
  EXPECT_STREQ(outcome_of(story), "applied") << "and has its effect all the same";
  EXPECT_EQ(code_of(story), "journal_full");
  story = whole_story();
  story.slot.answered_ns = 0;
  EXPECT_STREQ(ack_of(story), "");
}

TEST(Story, AsTextForPeople) {
  Story story = whole_story();
  story.slot.parent = 7;
  EXPECT_EQ(story_text(story, {}),
            "track view: applied, shard 3 #17\n"
            "  message m1\n"
            "  trace 4bf92f3577b34da6a3ce929d0e0e4736 (the client's)\n"
            "  received   1970-01-01T00:00:00.000001Z\n"
            "  committed  +2.00 µs\n"
            "  published  +1.00 µs    ring-0-1\n"
            "  taken      +1.00 µs    worker-1\n"
            "  visible    +3.00 µs\n"
            "  durable    +12.0 µs\n"
            "  answered   +1.00 µs    durable\n"
            "  flushed    +69.0 µs\n"
            "  89.0 µs in all\n");
}

TEST(Story, AnybodysTextsAreShownAndNotObeyed) {
  Story story = whole_story();
  set_text(story.slot.name, "\x1b[31mred", 8);
  set_text(story.slot.message_id, "\n\n", 2);
  const std::string text = story_text(story, {});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("[31mred"), std::string::npos);
  EXPECT_EQ(text.find("\n\n"), std::string::npos);
  set_text(story.slot.name, "\xff\xfe\"", 3);
  EXPECT_NE(story_json(story).find("\"event\":\"\xef\xbf\xbd\xef\xbf\xbd\\\"\""),
            std::string::npos);
}

TEST(Story, AsALineOfJson) {
  Story story = whole_story();
  story.slot.user_hash = 0xabc;
  EXPECT_TRUE(story_json(story).starts_with(
      "{\"trace\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"call\":\"track\",\"event\":\"view\","
      "\"message_id\":\"m1\",\"user_hash\":\"0000000000000abc\",\"outcome\":\"applied\","
      "\"code\":\"\",\"ack\":\"durable\",\"ring\":0,\"worker\":1,\"shard\":3,\"sequence\":17,"
      "\"whole\":true,\"stages\":[{\"stage\":\"received\",\"at\""))
      << story_json(story);
}

TEST(SampleRate, IsAPartOrAPercentage) {
  EXPECT_EQ(parse_sample_rate("0.01"), 0.01);
  EXPECT_EQ(parse_sample_rate("1%"), 0.01);
  EXPECT_EQ(parse_sample_rate("100%"), 1.0);
  EXPECT_EQ(parse_sample_rate("1"), 1.0);
  EXPECT_EQ(parse_sample_rate("0"), 0.0);
  EXPECT_EQ(parse_sample_rate("1e-3"), 0.001);
  for (const char* wrong : {"", "%", "-1", "-0.1", "1.1", "101%", "nan", "inf", "1 %", "1%%", "x",
                            "0.1x", " 0.1", "+0.1"}) {
    EXPECT_EQ(parse_sample_rate(wrong), std::nullopt) << wrong;
  }
}

}  // namespace
}  // namespace deja
