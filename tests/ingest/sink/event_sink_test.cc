#include "ingest/event_sink.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "ingest/refusal_codes.h"
#include "shm/key.h"
#include "tests/ingest/sink/test_appliance.h"
#include "tests/support/seed.h"

// jemalloc's, where it is linked: a sanitizer's build has its own allocator.
extern "C" int mallctl(const char* name, void* old_value, std::size_t* old_bytes, void* new_value,
                       std::size_t new_bytes) __attribute__((weak));

namespace deja {
namespace {

constexpr std::int64_t kNow = 1'700'000'000'000'000;
constexpr auto kApplied = schema::AckLevel::APPLIED;

std::vector<SinkEvent> shop_events() {
  using schema::Call;
  return {{"view", Call::TRACK, "Product Viewed", {0, 1}},
          {"view_too", Call::TRACK, "Product Viewed", {2}},
          {"order", Call::TRACK, "Order Completed", {1, 3}},
          {"any_track", Call::TRACK, "*", {}},
          {"visit", Call::PAGE, "*", {4}},
          {"home", Call::PAGE, "Home", {}},
          {"$identify", Call::IDENTIFY, "", {5}},
          {"firm", Call::GROUP, "acme", {}}};
}

SinkAppliance::Options shop() {
  SinkAppliance::Options options;
  options.events = shop_events();
  options.paths = {"properties.product_id",       "properties.price",  "properties.category",
                   "properties.products[].price", "context.page.path", "traits.plan"};
  return options;
}

// The same without the event that takes every track.
SinkAppliance::Options strict_shop() {
  SinkAppliance::Options options = shop();
  options.events.erase(options.events.begin() + 3);
  return options;
}

class EventSinkTest : public testing::Test {
 protected:
  explicit EventSinkTest(const SinkAppliance::Options& options = shop()) : appliance_(options) {}

  Extraction& event(CallType call, std::string_view name, std::string_view user = "u1") {
    extraction_->clear();
    extraction_->call = call;
    extraction_->name = name;
    extraction_->user_id = user;
    return *extraction_;
  }
  SinkOutcome submit() {
    return appliance_.sink().submit(*extraction_, kNow, kApplied, refusal_, placed_);
  }
  // Submits the event and gives back its only record.
  SinkRecord record() {
    EXPECT_EQ(submit(), SinkOutcome::kCommitted);
    appliance_.sink().publish();
    auto records = appliance_.records();
    EXPECT_EQ(records.size(), 1U);
    return records.empty() ? SinkRecord{} : std::move(records[0]);
  }
  [[nodiscard]] std::uint64_t total(const std::string& name) const {
    return appliance_.counter("deja_" + name + "_total{thread=\"0\"}");
  }

  SinkAppliance appliance_;
  std::unique_ptr<Extraction> extraction_ = std::make_unique<Extraction>();
  Refusal refusal_;
  Placed placed_;
};

class StrictSinkTest : public EventSinkTest {
 protected:
  StrictSinkTest() : EventSinkTest(strict_shop()) {}
};

// Reads `stored` with the library; the reader lives as long as the test's statement.
#define READ_RECORD(record, stored)                                                 \
  const kj::ArrayPtr<const capnp::word> record##_segments[] = {(stored).segment()}; \
  capnp::SegmentArrayMessageReader record##_message(record##_segments);             \
  const auto record = record##_message.getRoot<schema::EventRecord>()

TEST_F(EventSinkTest, EveryEntryThatMatchesSetsItsBit) {
  const auto kinds_of = [this](CallType call, std::string_view name) {
    event(call, name);
    const SinkRecord stored = record();
    READ_RECORD(record, stored);
    return record.getKinds();
  };
  EXPECT_EQ(kinds_of(CallType::kTrack, "Product Viewed"), 0b1011U);
  EXPECT_EQ(kinds_of(CallType::kTrack, "Order Completed"), 0b1100U);
  EXPECT_EQ(kinds_of(CallType::kTrack, "product viewed"), 0b1000U);
  EXPECT_EQ(kinds_of(CallType::kTrack, std::string(5000, 'x')), 0b1000U);
  EXPECT_EQ(kinds_of(CallType::kPage, "Home"), 0b110000U);
  EXPECT_EQ(kinds_of(CallType::kPage, ""), 0b010000U);
  EXPECT_EQ(kinds_of(CallType::kIdentify, ""), 0b1000000U);
  EXPECT_EQ(kinds_of(CallType::kGroup, "acme"), 0b10000000U);
}

TEST_F(EventSinkTest, TheRecordHoldsWhatTheEventSaid) {
  Extraction& given = event(CallType::kTrack, "Product Viewed", "user-17");
  given.message_id = "m1";
  given.has_timestamp = given.has_sent_at = true;
  given.sent_at_us = kNow + 60'000'000;
  given.timestamp_us = kNow + 50'000'000;
  ASSERT_TRUE(given.capture(0, 0, Value::of("p-ä1", 5)));
  ASSERT_TRUE(given.capture(1, 0, Value::of(9.5)));
  ASSERT_TRUE(given.capture(3, 2, Value::of(7.0)));  // no field of the matched kinds: left out
  ASSERT_TRUE(given.capture(2, 0, Value{ValueKind::kNull, 0, nullptr, 0}));
  const SinkRecord stored = record();
  READ_RECORD(record, stored);
  EXPECT_EQ(stored.end_position, placed_.end_position);
  EXPECT_EQ(record.getReceivedUs(), kNow);
  EXPECT_EQ(record.getTimeUs(), kNow - 10'000'000);
  EXPECT_NE(record.getIdLow(), 0U);
  EXPECT_NE(record.getIdHigh(), 0U);
  EXPECT_EQ(record.getKeyNamespace(), 0);
  EXPECT_EQ(record.getKey().asChars(), kj::StringPtr("user-17"));
  EXPECT_EQ(record.getShard(), shard_of({KeyNamespace::kUser, "user-17", 7}, 8));
  ASSERT_EQ(record.getValues().size(), 3U);
  EXPECT_EQ(record.getValues()[0].getText().asChars(), kj::StringPtr("p-ä1"));
  EXPECT_EQ(record.getValues()[1].getNumber(), 9.5);
  EXPECT_EQ(record.getValues()[2].getSlot(), 2);
  EXPECT_EQ(record.getValues()[2].getKind(), static_cast<std::uint8_t>(ValueKind::kNull));
}

TEST_F(EventSinkTest, WithoutAUserTheAnonymousIdIsTheKeyInANamespaceOfItsOwn) {
  event(CallType::kPage, "", "").anonymous_id = "a-1";
  const SinkRecord stored = record();
  READ_RECORD(record, stored);
  EXPECT_EQ(record.getKeyNamespace(), 1);
  EXPECT_EQ(record.getKey().asChars(), kj::StringPtr("a-1"));
  EXPECT_EQ(record.getIdLow(), 0U);
  EXPECT_EQ(record.getIdHigh(), 0U);
}

TEST_F(EventSinkTest, RefusalsNameCodeAndMember) {
  const auto refused = [this](const char* code, const char* path) {
    refusal_ = {};
    EXPECT_EQ(submit(), SinkOutcome::kRefused);
    EXPECT_STREQ(refusal_.code, code);
    EXPECT_STREQ(refusal_.path, path);
    EXPECT_EQ(appliance_.rejected(code) > 0, true) << code;
  };
  const std::string too_long(41, 'u');
  const std::string longest(40, 'u');
  event(CallType::kTrack, "Product Viewed", "");
  refused(code::kMissingUser, "");
  event(CallType::kTrack, "Product Viewed", too_long);
  refused(code::kKeyTooLong, "userId");
  event(CallType::kTrack, "Product Viewed", "").anonymous_id = too_long;
  refused(code::kKeyTooLong, "anonymousId");
  event(CallType::kTrack, "");
  refused(code::kMissingEvent, "event");
  event(CallType::kNone, "");
  refused(code::kMissingType, "type");
  event(CallType::kTrack, "Product Viewed").has_timestamp = true;
  extraction_->timestamp_us = -1;
  refused(code::kBadTimestamp, "timestamp");
  EXPECT_EQ(total("events_received"), 6U);
  EXPECT_EQ(appliance_.rejected_sum(), 6U);
  event(CallType::kTrack, "Product Viewed", longest);
  EXPECT_EQ(submit(), SinkOutcome::kCommitted);
}

TEST_F(EventSinkTest, ACodecsRefusalIsCountedByItsCode) {
  Refusal refusal;
  refuse(refusal, code::kBadJson, "not JSON", "");
  appliance_.sink().count_refused(refusal);
  std::string spelt_elsewhere = "bad_json";
  refusal.code = spelt_elsewhere.c_str();
  appliance_.sink().count_refused(refusal);
  refusal.code = "never_heard_of";
  appliance_.sink().count_refused(refusal);
  appliance_.sink().refuse_full(refusal);
  EXPECT_STREQ(refusal.code, "ring_full");
  EXPECT_EQ(appliance_.rejected("bad_json"), 2U);
  EXPECT_EQ(appliance_.rejected("other"), 1U);
  EXPECT_EQ(appliance_.rejected("ring_full"), 1U);
  EXPECT_EQ(total("events_received"), 4U);
}

TEST_F(EventSinkTest, AFutureEventHappensNowAndIsCounted) {
  event(CallType::kIdentify, "").has_timestamp = true;
  extraction_->timestamp_us = kNow + 300'000'001;
  const SinkRecord stored = record();
  READ_RECORD(record, stored);
  EXPECT_EQ(record.getTimeUs(), kNow);
  EXPECT_EQ(total("future_events"), 1U);
}

TEST_F(StrictSinkTest, AnUnmatchedEventIsFoundInTheErrors) {
  event(CallType::kTrack, "Product Veiwed");
  EXPECT_EQ(submit(), SinkOutcome::kDone);
  EXPECT_EQ(submit(), SinkOutcome::kDone);
  event(CallType::kTrack, "something else entirely");
  EXPECT_EQ(submit(), SinkOutcome::kDone);
  event(CallType::kGroup, "a-secret-group-id");
  EXPECT_EQ(submit(), SinkOutcome::kDone);
  EXPECT_EQ(total("events_unmatched"), 4U);
  EXPECT_EQ(total("events_received"), 4U);
  const ProcessView view = appliance_.view();
  ASSERT_EQ(view.errors.size(), 3U);
  EXPECT_EQ(view.errors[0].text,
            "no event matches track 'Product Veiwed'; nearest declared: 'Product Viewed'");
  EXPECT_EQ(view.errors[0].count, 2U);
  EXPECT_EQ(view.errors[1].text, "no event matches track 'something else entirely'");
  EXPECT_EQ(view.errors[2].text, "no event matches group");
}

TEST_F(StrictSinkTest, UnmatchedNamesWithoutEndAreBounded) {
  for (int number = 0; number < 1000; ++number) {
    const std::string name = "name\n" + std::string(200, 'n') + std::to_string(number);
    event(CallType::kTrack, name);
    EXPECT_EQ(submit(), SinkOutcome::kDone);
  }
  EXPECT_EQ(total("events_unmatched"), 1000U);
  const ProcessView view = appliance_.view();
  EXPECT_LE(view.errors.size(), 97U);
  EXPECT_EQ(view.errors[0].text.find('\n'), std::string::npos);
}

TEST_F(EventSinkTest, AnAliasEndsInACounterOfItsOwn) {
  event(CallType::kAlias, "", "");
  EXPECT_EQ(submit(), SinkOutcome::kDone);
  EXPECT_EQ(total("events_alias"), 1U);
  EXPECT_EQ(total("events_received"), 1U);
}

TEST_F(EventSinkTest, CoversFollowsTheConsumedPosition) {
  event(CallType::kIdentify, "");
  ASSERT_EQ(submit(), SinkOutcome::kCommitted);
  const Placed first = placed_;
  ASSERT_EQ(submit(), SinkOutcome::kCommitted);
  const Placed second = placed_;
  EXPECT_TRUE(appliance_.sink().publish());
  EXPECT_FALSE(appliance_.sink().publish());
  EXPECT_EQ(appliance_.records(0, false).size(), 2U);
  EXPECT_FALSE(appliance_.sink().has_news());
  appliance_.consume_until(0, first.end_position);
  EXPECT_FALSE(appliance_.sink().covers(first, kApplied));
  EXPECT_TRUE(appliance_.sink().has_news());
  appliance_.sink().refresh();
  EXPECT_FALSE(appliance_.sink().has_news());
  EXPECT_TRUE(appliance_.sink().covers(first, kApplied));
  EXPECT_FALSE(appliance_.sink().covers(second, kApplied));
  // A worker that says it has consumed what nobody gave it is not believed.
  appliance_.consume_until(0, second.end_position + 8);
  EXPECT_FALSE(appliance_.sink().has_news());
  appliance_.sink().refresh();
  EXPECT_FALSE(appliance_.sink().covers(second, kApplied));
}

TEST_F(EventSinkTest, AWorkersVerdictIsThereOncePositionCoversIt) {
  event(CallType::kIdentify, "");
  ASSERT_EQ(submit(), SinkOutcome::kCommitted);
  const Placed first = placed_;
  ASSERT_EQ(submit(), SinkOutcome::kCommitted);
  const Placed second = placed_;
  appliance_.sink().publish();
  EXPECT_EQ(appliance_.records(0, false).size(), 2U);
  appliance_.give_verdict(0, second.end_position, RefusalReason::kTableFull);
  appliance_.consume(0);
  appliance_.sink().refresh();
  ASSERT_TRUE(appliance_.sink().covers(second, kApplied));
  EXPECT_TRUE(appliance_.sink().settle(first, kApplied, nullptr, refusal_));
  EXPECT_FALSE(appliance_.sink().settle(second, kApplied, nullptr, refusal_));
  EXPECT_STREQ(refusal_.code, "table_full");
}

TEST_F(EventSinkTest, ANewLifeGoesOnWhereTheLastOneHadPublished) {
  event(CallType::kIdentify, "");
  ASSERT_EQ(submit(), SinkOutcome::kCommitted);
  appliance_.sink().publish();
  ASSERT_EQ(submit(), SinkOutcome::kCommitted);  // never published: nobody has seen it
  appliance_.reopen_sink();
  ASSERT_EQ(submit(), SinkOutcome::kCommitted);
  appliance_.sink().publish();
  EXPECT_EQ(appliance_.records().size(), 2U);
}

TEST_F(EventSinkTest, WhatALifeHadReceivedAndNotPlacedIsCountedAsAbandonedByTheNext) {
  event(CallType::kIdentify, "");
  for (int times = 0; times < 3; ++times) ASSERT_EQ(submit(), SinkOutcome::kCommitted);
  appliance_.sink().publish();
  event(CallType::kAlias, "");
  ASSERT_EQ(submit(), SinkOutcome::kDone);
  event(CallType::kTrack, "");
  ASSERT_EQ(submit(), SinkOutcome::kRefused);
  event(CallType::kIdentify, "");
  for (int times = 0; times < 2; ++times) ASSERT_EQ(submit(), SinkOutcome::kCommitted);
  EXPECT_EQ(total("ring_records"), 3U) << "in the ring for good";
  for (int life = 0; life < 3; ++life) {
    appliance_.reopen_sink();
    EXPECT_EQ(total("events_received"), 7U);
    EXPECT_EQ(total("events_abandoned"), 2U) << life;
    EXPECT_EQ(total("ring_records"), 3U);
  }
  ASSERT_EQ(submit(), SinkOutcome::kCommitted);
  appliance_.sink().publish();
  appliance_.reopen_sink();
  EXPECT_EQ(total("events_abandoned"), 2U);
  EXPECT_EQ(total("ring_records"), 4U);
}

TEST_F(EventSinkTest, TheTokenNamesRingAndPositions) {
  const std::uint64_t ends[] = {0x1a0};
  char text[128];
  const std::size_t bytes = appliance_.sink().format_token(ends, text, sizeof text);
  char expected[128];
  std::snprintf(expected, sizeof expected, "v1.%llx.0:0:1a0",
                static_cast<unsigned long long>(appliance_.segment().superblock().incarnation));
  EXPECT_EQ(std::string(text, bytes), expected);
}

TEST(EventSink, AFullRingRefusesWithoutCountingTheEvent) {
  SinkAppliance::Options options = shop();
  options.ring_bytes = 4096;
  SinkAppliance appliance(options);
  auto event = std::make_unique<Extraction>();
  event->call = CallType::kIdentify;
  event->user_id = "u1";
  Refusal refusal;
  Placed placed;
  std::uint64_t committed = 0;
  while (appliance.sink().submit(*event, kNow, kApplied, refusal, placed) ==
         SinkOutcome::kCommitted) {
    ++committed;
  }
  EXPECT_EQ(appliance.counter("deja_events_received_total{thread=\"0\"}"), committed);
  EXPECT_EQ(appliance.counter("deja_ring_full_total{thread=\"0\"}"), 1U);
  appliance.sink().publish();
  EXPECT_EQ(appliance.records().size(), committed);
  EXPECT_EQ(appliance.sink().submit(*event, kNow, kApplied, refusal, placed),
            SinkOutcome::kCommitted);
  // What can never fit is refused at once.
  const std::string large(2000, 'x');
  ASSERT_TRUE(event->capture(5, 0, Value::of(large.data(), 2000)));
  EXPECT_EQ(appliance.sink().submit(*event, kNow, kApplied, refusal, placed),
            SinkOutcome::kRefused);
  EXPECT_STREQ(refusal.code, "event_too_large");
}

TEST(EventSink, EachShardsEventsGoToItsOwner) {
  SinkAppliance::Options options = shop();
  options.worker_count = 3;
  SinkAppliance appliance(options);
  auto event = std::make_unique<Extraction>();
  std::mt19937_64 random(test_seed());
  Refusal refusal;
  Placed placed;
  std::map<std::string, std::uint32_t> sent;
  for (int round = 0; round < 300; ++round) {
    const std::string user = "user-" + std::to_string(random() % 1000);
    event->clear();
    event->call = CallType::kIdentify;
    event->user_id = user;
    ASSERT_EQ(appliance.sink().submit(*event, kNow, kApplied, refusal, placed),
              SinkOutcome::kCommitted);
    ++sent[user];
  }
  appliance.sink().publish();
  std::map<std::string, std::uint32_t> met;
  for (std::uint32_t worker = 0; worker < 3; ++worker) {
    for (const SinkRecord& stored : appliance.records(worker)) {
      READ_RECORD(record, stored);
      const auto key = record.getKey().asChars();
      ++met[std::string(key.begin(), key.size())];
      EXPECT_EQ(record.getShard() % 3, worker);
    }
  }
  EXPECT_EQ(met, sent);
}

TEST_F(EventSinkTest, AMillionEventsAllocateNothing) {
  if (mallctl == nullptr) GTEST_SKIP() << "this build's allocator does not count";
  const auto allocated = [] {
    std::uint64_t bytes = 0;
    std::size_t size = sizeof bytes;
    EXPECT_EQ(mallctl("thread.allocated", &bytes, &size, nullptr, 0), 0);
    return bytes;
  };
  RingConsumer* const no_copy = appliance_.consumer(0);
  std::uint64_t before = 0;
  for (int round = 0; round < 1'000'000 + 1000; ++round) {
    if (round == 1000) before = allocated();
    event(CallType::kTrack, round % 8 == 0 ? "Product Viewed" : "Order Completed");
    extraction_->message_id = "0123456789abcdef";
    (void)extraction_->capture(0, 0, Value::of("p1", 2));
    (void)extraction_->capture(3, static_cast<std::uint16_t>(round % 10), Value::of(1.0));
    if (round % 64 == 0) {
      (void)appliance_.sink().publish();
      while (no_copy->next().outcome == RingRecord::Outcome::kRecord) {
      }
      appliance_.consume(0);
      appliance_.sink().refresh();
    }
    if (round % 16 == 0) extraction_->user_id = {};  // refusals count too
    (void)submit();
  }
  EXPECT_EQ(allocated() - before, 0U);
}

}  // namespace
}  // namespace deja
