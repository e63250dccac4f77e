// The sink's small parts: message ids, texts as words, event times, the shelf of verdicts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "ingest/event_time.h"
#include "ingest/message_id.h"
#include "ingest/verdict_shelf.h"
#include "shm/base/text_words.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

TEST(MessageId, GivesSmhashersVerificationValue) {
  // SMHasher's VerificationTest: keys 0, 0 1, 0 1 2, … under the seeds 256, 255, …, then all
  // hashes.
  char key[256];
  char hashes[256 * 16];
  for (unsigned at = 0; at < 256; ++at) {
    key[at] = static_cast<char>(at);
    const MessageId id = murmur3_128(key, at, 256 - at);
    std::memcpy(hashes + at * 16, &id, 16);
  }
  EXPECT_EQ(static_cast<std::uint32_t>(murmur3_128(hashes, sizeof hashes, 0).low), 0x6384BA69U);
}

TEST(MessageId, OnlyAnEmptyIdIsNone) {
  EXPECT_EQ(message_id_of("").low, 0U);
  EXPECT_EQ(message_id_of("").high, 0U);
  const std::string zero(1, '\0');
  EXPECT_FALSE(message_id_of(zero).low == 0 && message_id_of(zero).high == 0);
}

TEST(MessageId, TakesTheBitsThatATextNames) {
  const MessageId id{0x0123456789abcdefU, 0xfedcba9876543210U};
  EXPECT_EQ(raw_id_text(id), "deja-id:fedcba98765432100123456789abcdef");
  const MessageId read = message_id_of(raw_id_text(id));
  EXPECT_EQ(read.low, id.low);
  EXPECT_EQ(read.high, id.high);
  const MessageId hashed = message_id_of("m-1");
  EXPECT_EQ(message_id_of(raw_id_text(hashed)).low, hashed.low);
  // Anything else is a text like others.
  for (const std::string& text :
       {std::string("deja-id:"), "deja-id:" + std::string(32, '0'),
        "deja-id:" + std::string(32, 'g'), "deja-id:" + std::string(31, '1'),
        "deja-id:" + std::string(33, '1'), "deja-id:-" + std::string(31, '1'),
        "deja-id:0x" + std::string(30, '1'), "Deja-id:" + std::string(32, '1')}) {
    const MessageId expected = murmur3_128(text.data(), text.size(), 0);
    EXPECT_EQ(message_id_of(text).low, expected.low) << text;
    EXPECT_EQ(message_id_of(text).high, expected.high) << text;
  }
}

TEST(TextWords, AreTheTextAndZeroesBehindIt) {
  std::mt19937_64 random(test_seed());
  for (std::size_t size = 0; size <= 40; ++size) {
    // Of exactly this size, so that a sanitizer sees a look beyond it.
    std::vector<char> text(size);
    for (char& byte : text) byte = static_cast<char>(random());
    std::vector<std::uint8_t> plain((size + 7) / 8 * 8);
    std::copy(text.begin(), text.end(), plain.begin());
    std::vector<std::uint8_t> copied(plain.size(), 0xaa);
    copy_as_words(copied.data(), text.data(), size);
    EXPECT_EQ(copied, plain) << size;
    plain.resize(8);
    std::uint64_t word = 0;
    std::memcpy(&word, plain.data(), 8);
    EXPECT_EQ(first_word(text.data(), size), word) << size;
  }
}

Extraction& event_at(Extraction& event, std::int64_t timestamp, std::int64_t sent_at) {
  event.clear();
  event.has_timestamp = timestamp != -1;
  event.has_sent_at = sent_at != -1;
  event.timestamp_us = timestamp;
  event.sent_at_us = sent_at;
  return event;
}

TEST(EventTime, IsCorrectedByWhatTheClientsClockSaidWhenItSent) {
  auto event = std::make_unique<Extraction>();
  constexpr std::int64_t kNow = 1'700'000'000'000'000;
  // The client's clock is an hour ahead; the event was 5 s before its sending.
  const std::int64_t sent = kNow + 3'600'000'000;
  EXPECT_EQ(event_time(event_at(*event, sent - 5'000'000, sent), kNow, 0).time_us,
            kNow - 5'000'000);
  EXPECT_EQ(event_time(event_at(*event, kNow - 7, -1), kNow, 0).time_us, kNow - 7);
  EXPECT_EQ(event_time(event_at(*event, -1, sent), kNow, 0).time_us, kNow);
  EXPECT_EQ(event_time(event_at(*event, -1, -1), kNow, 0).time_us, kNow);
}

TEST(EventTime, BeyondMaxFutureIsTheTimeOfReceipt) {
  auto event = std::make_unique<Extraction>();
  constexpr std::int64_t kNow = 1'700'000'000'000'000;
  const EventTime just = event_time(event_at(*event, kNow + 100, -1), kNow, 100);
  EXPECT_EQ(just.time_us, kNow + 100);
  EXPECT_FALSE(just.was_future);
  const EventTime beyond = event_time(event_at(*event, kNow + 101, -1), kNow, 100);
  EXPECT_EQ(beyond.time_us, kNow);
  EXPECT_TRUE(beyond.was_future);
}

TEST(EventTime, WhatCannotBeATimeIsNamed) {
  auto event = std::make_unique<Extraction>();
  constexpr std::int64_t kNow = 1'700'000'000'000'000;
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  EXPECT_STREQ(event_time(event_at(*event, kLeast, 5), kNow, 0).bad_member, "timestamp");
  EXPECT_STREQ(event_time(event_at(*event, kMost, kLeast), kNow, 0).bad_member, "timestamp");
  EXPECT_STREQ(event_time(event_at(*event, -1, kMost), kNow, 0).bad_member, "sentAt");
  EXPECT_STREQ(event_time(event_at(*event, 5, kLeast), kNow, 0).bad_member, "sentAt");
  // By its own account the event is 8,000 years old: that is before 1970.
  EXPECT_STREQ(event_time(event_at(*event, 0, kTimeMaxUs), kNow, 0).bad_member, "sentAt");
  EXPECT_EQ(event_time(event_at(*event, 0, -1), kNow, 0).bad_member, nullptr);
}

TEST(VerdictShelf, GivesEachVerdictOnce) {
  VerdictShelf shelf(8);
  shelf.put(100, RefusalReason::kTableFull);
  shelf.put(200, RefusalReason::kBrokenRecord);
  EXPECT_EQ(shelf.take(150), RefusalReason::kNone);
  EXPECT_EQ(shelf.take(200), RefusalReason::kBrokenRecord);
  EXPECT_EQ(shelf.take(200), RefusalReason::kNone);
  EXPECT_EQ(shelf.take(100), RefusalReason::kTableFull);
}

TEST(VerdictShelf, AVerdictSaidTwiceIsOne) {
  VerdictShelf shelf(8);
  shelf.put(100, RefusalReason::kTableFull);
  shelf.put(100, RefusalReason::kTableFull);
  EXPECT_EQ(shelf.take(100), RefusalReason::kTableFull);
  shelf.put(100, RefusalReason::kTableFull);
  EXPECT_EQ(shelf.take(100), RefusalReason::kNone);
}

TEST(VerdictShelf, InDoubtARecordWasRefused) {
  VerdictShelf shelf(4);
  for (std::uint64_t end = 8; end <= 6 * 8; end += 8) shelf.put(end, RefusalReason::kTableFull);
  // 8 and 16 were dropped: what lies there may have been refused.
  EXPECT_EQ(shelf.take(16), RefusalReason::kTableFull);
  EXPECT_EQ(shelf.take(12), RefusalReason::kTableFull);
  EXPECT_EQ(shelf.take(20), RefusalReason::kNone);
  EXPECT_EQ(shelf.take(24), RefusalReason::kTableFull);
}

TEST(VerdictShelf, AgreesWithAMap) {
  std::mt19937_64 random(test_seed());
  VerdictShelf shelf(256);
  struct Known {
    std::uint64_t number = 0;
    RefusalReason reason = RefusalReason::kNone;
  };
  std::map<std::uint64_t, Known> reference;
  std::uint64_t end = 0;
  std::uint64_t number = 0;
  for (int round = 0; round < 100'000; ++round) {
    // The oldest one unasked is never more than the shelf holds behind the newest.
    const bool has_room = reference.empty() || number - reference.begin()->second.number < 256;
    if (has_room && random() % 2 == 0) {
      end += 8 * (1 + random() % 4);
      const auto reason = static_cast<RefusalReason>(1 + random() % 2);
      shelf.put(end, reason);
      reference[end] = {number++, reason};
    } else {
      std::uint64_t asked = 1 + random() % (end + 8);
      if (!reference.empty() && random() % 2 == 0) asked = reference.begin()->first;
      const auto found = reference.find(asked);
      ASSERT_EQ(shelf.take(asked),
                found == reference.end() ? RefusalReason::kNone : found->second.reason);
      if (found != reference.end()) reference.erase(found);
    }
  }
}

}  // namespace
}  // namespace deja
