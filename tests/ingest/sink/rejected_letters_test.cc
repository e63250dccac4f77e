// What is left of a rejected event on its way to a dead letter: only what can't be understood, no
// more than a bucket gives, only into a ring that is half free, and never counted as an event.
#include "ingest/rejected_letters.h"

#include <gtest/gtest.h>

#include "ingest/refusal_codes.h"
#include "shm/base/clock.h"
#include "tests/ingest/sink/test_appliance.h"

namespace deja {
namespace {

constexpr std::int64_t kNow = 1'700'000'000'000'000;
constexpr std::int64_t kSecond = 1'000'000'000;

TEST(LetterBucket, GivesABurstAndThenSoManyASecond) {
  LetterBucket bucket(0);
  const auto taken_at = [&](std::int64_t now_ns) {
    int count = 0;
    while (bucket.take(now_ns)) ++count;
    return count;
  };
  EXPECT_EQ(taken_at(0), 100);
  EXPECT_EQ(taken_at(kSecond / 20 - 1), 0);
  EXPECT_EQ(taken_at(kSecond / 20), 1);
  EXPECT_EQ(taken_at(2 * kSecond), 39);
  EXPECT_EQ(taken_at(1000 * kSecond), 100) << "no more is ever in it";
}

SinkAppliance::Options shop(std::uint64_t ring_bytes, std::uint32_t workers = 1) {
  SinkAppliance::Options options;
  options.events = {{"view", schema::Call::TRACK, "Product Viewed", {0}}};
  options.paths = {"properties.item"};
  options.ring_bytes = ring_bytes;
  options.worker_count = workers;
  return options;
}

class RejectedLettersTest : public testing::Test {
 protected:
  explicit RejectedLettersTest(std::uint64_t ring_bytes = 1U << 20U, std::uint32_t workers = 1)
      : appliance_(shop(ring_bytes, workers)) {}

  bool keep(const char* refusal_code, std::string_view text = "{}",
            const std::string& path = "userId") {
    Refusal refusal;
    refuse(refusal, refusal_code, "a sentence", path);
    if (!appliance_.sink().letters().admit(refusal)) return false;
    appliance_.sink().letters().put(refusal, {text, RejectedForm::kElement, CallType::kNone, false},
                                    kNow);
    return true;
  }
  [[nodiscard]] std::uint64_t count(const std::string& outcome) const {
    return appliance_.counter("deja_rejected_letters_total{outcome=\"" + outcome +
                              "\",thread=\"0\"}");
  }
  std::vector<std::vector<std::uint8_t>> letters(std::uint32_t worker = 0) {
    appliance_.sink().publish();
    EXPECT_TRUE(appliance_.records(worker).empty());
    return appliance_.take_letters();
  }
  SinkOutcome place(std::string_view user) {
    extraction_->clear();
    extraction_->call = CallType::kTrack;
    extraction_->name = "Product Viewed";
    extraction_->user_id = user;
    Refusal refusal;
    Placed placed;
    return appliance_.sink().submit(*extraction_, kNow, schema::AckLevel::APPLIED, refusal, placed);
  }

  SinkAppliance appliance_;
  std::unique_ptr<Extraction> extraction_ = std::make_unique<Extraction>();
};

class SmallRingLettersTest : public RejectedLettersTest {
 protected:
  SmallRingLettersTest() : RejectedLettersTest(4096) {}
};

class TwoWorkersLettersTest : public RejectedLettersTest {
 protected:
  TwoWorkersLettersTest() : RejectedLettersTest(1U << 20U, 2) {}
};

TEST_F(RejectedLettersTest, SayWhatWhereAndWhy) {
  ASSERT_TRUE(keep(code::kKeyTooLong, "{\"userId\":7}", "a.b[3]"));
  const auto kept = letters();
  ASSERT_EQ(kept.size(), 1U);
  const auto event = rejected_event_of(kept[0]);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->code, "key_too_long");
  EXPECT_EQ(event->path, "a.b[3]");
  EXPECT_EQ(event->text, "{\"userId\":7}");
  EXPECT_EQ(event->received_us, kNow);
  EXPECT_FALSE(event->cut);
  EXPECT_EQ(count("handed"), 1U);
}

TEST_F(RejectedLettersTest, AreCutAtTheirBoundAndSaySo) {
  const std::string text(kRejectedTextMax + 1, 'x');
  ASSERT_TRUE(keep(code::kEventTooLarge, text));
  ASSERT_TRUE(keep(code::kEventTooLarge, text.substr(1)));
  ASSERT_TRUE(keep(code::kBadUtf8, std::string("\0\xff\n", 3)));
  const auto kept = letters();
  ASSERT_EQ(kept.size(), 3U);
  EXPECT_EQ(rejected_event_of(kept[0])->text, text.substr(1));
  EXPECT_TRUE(rejected_event_of(kept[0])->cut);
  EXPECT_FALSE(rejected_event_of(kept[1])->cut);
  EXPECT_EQ(rejected_event_of(kept[2])->text, std::string("\0\xff\n", 3));
}

TEST_F(RejectedLettersTest, AreOfWhatCantBeUnderstoodAndOfNothingElse) {
  for (const char* later : {code::kRingFull, code::kTableFull, code::kJournalFull,
                            code::kJournalFailed, code::kJournalStalled, code::kRateLimited}) {
    EXPECT_FALSE(keep(later)) << later;
  }
  EXPECT_EQ(count("handed") + count("over_rate") + count("no_room"), 0U);
  std::size_t kept = 0;
  for (const char* known : kIngestCodes) {
    if (worth_resending(known)) continue;
    EXPECT_TRUE(keep(known)) << known;
    ++kept;
  }
  EXPECT_EQ(letters().size(), kept);
  EXPECT_LT(std::strlen(code::kTooManyElements), sizeof(RejectedEventLayout::code));
}

TEST_F(RejectedLettersTest, OfAFloodAreTheFirstHundredAndTheRestIsCounted) {
  const std::int64_t began_ns = steady_ns();
  std::uint64_t kept = 0;
  for (int at = 0; at < 5000; ++at) kept += keep(code::kBadJson) ? 1 : 0;
  const auto more = static_cast<std::uint64_t>((steady_ns() - began_ns) * 20 / kSecond) + 1;
  EXPECT_GE(kept, 100U);
  EXPECT_LE(kept, 100 + more);
  EXPECT_EQ(count("handed"), kept);
  EXPECT_EQ(count("over_rate"), 5000 - kept);
  EXPECT_EQ(letters().size(), kept);
}

TEST_F(RejectedLettersTest, AreNoEventsToWhoeverCounts) {
  ASSERT_EQ(place("ada"), SinkOutcome::kCommitted);
  Refusal refusal;
  refuse(refusal, code::kBadJson, "no");
  appliance_.sink().count_refused(refusal);
  ASSERT_TRUE(keep(code::kBadJson));
  appliance_.sink().publish();
  EXPECT_EQ(appliance_.counter("deja_ring_records_total{thread=\"0\"}"), 1U);
  // The next life counts what the ring says was placed: nothing was abandoned, nothing is too much.
  appliance_.reopen_sink();
  EXPECT_EQ(appliance_.counter("deja_ring_records_total{thread=\"0\"}"), 1U);
  EXPECT_EQ(appliance_.counter("deja_events_abandoned_total{thread=\"0\"}"), 0U);
  EXPECT_EQ(appliance_.counter("deja_events_received_total{thread=\"0\"}"), 2U);
  EXPECT_EQ(appliance_.rejected("bad_json"), 1U);
  EXPECT_EQ(appliance_.records().size(), 1U);
  EXPECT_EQ(appliance_.take_letters().size(), 1U);
}

TEST_F(SmallRingLettersTest, LeaveTheRingMoreThanHalfFree) {
  int kept = 0;
  while (keep(code::kBadJson, std::string(500, 'x'))) ++kept;
  EXPECT_GT(kept, 0);
  EXPECT_EQ(count("no_room"), 1U);
  EXPECT_EQ(count("over_rate"), 0U);
  appliance_.sink().publish();
  int events = 0;
  while (place("ada") == SinkOutcome::kCommitted) ++events;
  EXPECT_GT(events, 10) << "there is room for events";
  EXPECT_FALSE(keep(code::kBadJson));
  appliance_.sink().publish();
  EXPECT_EQ(appliance_.records().size(), static_cast<std::size_t>(events));
  EXPECT_EQ(appliance_.take_letters().size(), static_cast<std::size_t>(kept));
  EXPECT_TRUE(keep(code::kBadJson)) << "consumed, it is free again";
}

TEST_F(SmallRingLettersTest, OfMoreThanTheRingTakesAreCut) {
  ASSERT_TRUE(keep(code::kBadJson, std::string(4000, 'x')));
  const auto kept = letters();
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_TRUE(rejected_event_of(kept[0])->cut);
  EXPECT_LE(kept[0].size(), 1024U);
}

TEST_F(SmallRingLettersTest, GoIntoNoRingWhoseWorkerMakesNoSense) {
  appliance_.consume_until(0, 1U << 30U);
  EXPECT_FALSE(keep(code::kBadJson));
  EXPECT_EQ(count("no_room"), 1U);
}

TEST_F(TwoWorkersLettersTest, GoToEachWorkerInTurn) {
  for (int at = 0; at < 10; ++at) ASSERT_TRUE(keep(code::kBadJson));
  EXPECT_EQ(letters(0).size(), 5U);
  EXPECT_EQ(letters(1).size(), 5U);
}

}  // namespace
}  // namespace deja
