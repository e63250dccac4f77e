#include "ring/spsc_ring.h"

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "tests/ring/ring_memory.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

using Outcome = RingRecord::Outcome;

std::uint64_t put(RingProducer& producer, const std::string& payload, std::uint32_t type = 7) {
  const auto size = static_cast<std::uint32_t>(payload.size());
  std::uint8_t* claimed = producer.claim(size);
  EXPECT_NE(claimed, nullptr);
  if (claimed == nullptr) return 0;
  std::memcpy(claimed, payload.data(), size);
  return producer.commit(size, type);
}

std::string text_of(const RingRecord& record) {
  return {reinterpret_cast<const char*>(record.payload), record.size_bytes};
}

TEST(SpscRing, WhatWasPublishedComesOutInOrder) {
  RingMemory memory(4096);
  RingProducer producer = memory.producer();
  RingConsumer consumer = memory.consumer();
  const std::uint64_t end_of_first = put(producer, "one", 1);
  put(producer, "", 2);
  EXPECT_TRUE(producer.publish());

  const RingRecord first = consumer.next();
  ASSERT_EQ(first.outcome, Outcome::kRecord);
  EXPECT_EQ(text_of(first), "one");
  EXPECT_EQ(first.type, 1U);
  EXPECT_EQ(first.position, 0U);
  EXPECT_EQ(first.end_position, end_of_first);
  const RingRecord second = consumer.next();
  ASSERT_EQ(second.outcome, Outcome::kRecord);
  EXPECT_EQ(second.size_bytes, 0U);
  EXPECT_EQ(second.end_position, producer.published_position());
  EXPECT_EQ(consumer.next().outcome, Outcome::kEmpty);
}

TEST(SpscRing, ABatchIsInvisibleBeforeItIsPublished) {
  RingMemory memory(4096);
  RingProducer producer = memory.producer();
  RingConsumer consumer = memory.consumer();
  put(producer, "a");
  put(producer, "b");
  EXPECT_EQ(consumer.next().outcome, Outcome::kEmpty);
  EXPECT_TRUE(consumer.empty());
  EXPECT_TRUE(producer.publish());
  EXPECT_FALSE(consumer.empty());
  EXPECT_EQ(text_of(consumer.next()), "a");
  EXPECT_EQ(text_of(consumer.next()), "b");
}

TEST(SpscRing, PublishSaysWhenThereWasNothing) {
  RingMemory memory(4096);
  RingProducer producer = memory.producer();
  EXPECT_FALSE(producer.publish());
  EXPECT_NE(producer.claim(8), nullptr);
  EXPECT_FALSE(producer.publish());
}

TEST(SpscRing, ClaimIsRefusedWhenFull) {
  RingMemory memory(4096);
  RingProducer producer = memory.producer();
  RingConsumer consumer = memory.consumer();
  for (int record = 0; record < 4; ++record) put(producer, std::string(1016, 'x'));
  EXPECT_EQ(producer.claim(0), nullptr);
  producer.publish();
  const RingRecord first = consumer.next();
  EXPECT_EQ(producer.claim(0), nullptr) << "reading alone gives nothing back";
  consumer.release(first.end_position);
  EXPECT_NE(producer.claim(1016), nullptr);
  EXPECT_EQ(producer.claim(1017), nullptr);
}

TEST(SpscRing, AClaimThatIsNotCommittedCostsNothing) {
  RingMemory memory(4096);
  RingProducer producer = memory.producer();
  for (int time = 0; time < 1000; ++time) ASSERT_NE(producer.claim(1000), nullptr);
  put(producer, "after");
  producer.publish();
  EXPECT_EQ(producer.published_position(), ring_record_bytes(5));
}

TEST(SpscRing, ARecordHasTheSizeAndTheTypeOfItsCommitAndNotOfItsClaim) {
  RingMemory memory(4096);
  RingProducer producer = memory.producer();
  RingConsumer consumer = memory.consumer();
  for (const std::uint32_t size : {100U, 40U, 40U, 0U, 99U}) {
    for (const std::uint32_t type : {3U, 3U, 8U}) {
      std::uint8_t* claimed = producer.claim(100);
      ASSERT_NE(claimed, nullptr);
      std::memset(claimed, 0xff, 100);
      const std::uint64_t end = producer.commit(size, type);
      producer.publish();
      const RingRecord record = consumer.next();
      ASSERT_EQ(record.outcome, Outcome::kRecord);
      EXPECT_EQ(record.size_bytes, size);
      EXPECT_EQ(record.type, type);
      EXPECT_EQ(record.end_position, end);
      EXPECT_EQ(text_of(record), std::string(size, '\xff'));
      for (std::uint32_t byte = size; byte % 8 != 0; ++byte) EXPECT_EQ(record.payload[byte], 0);
      consumer.release(end);
    }
  }
}

TEST(SpscRing, ARecordIsContiguousWhereTheRingWraps) {
  RingMemory memory(4096);
  RingProducer producer = memory.producer();
  RingConsumer consumer = memory.consumer();
  for (int record = 0; record < 3; ++record) put(producer, std::string(1016, 'x'));
  put(producer, std::string(504, 'y'));  // 512 bytes are left before the end
  producer.publish();
  for (int record = 0; record < 3; ++record) consumer.release(consumer.next().end_position);
  const std::uint64_t end_of_wrapped = put(producer, std::string(900, 'z'));
  producer.publish();

  EXPECT_EQ(consumer.next().size_bytes, 504U);
  const RingRecord wrapped = consumer.next();
  ASSERT_EQ(wrapped.outcome, Outcome::kRecord);
  EXPECT_EQ(wrapped.position, 3584U) << "the padding belongs to the record behind it";
  EXPECT_EQ(wrapped.payload, memory.data() + sizeof(RingRecordLayout));
  EXPECT_EQ(wrapped.end_position, end_of_wrapped);
  EXPECT_EQ(text_of(wrapped), std::string(900, 'z'));
}

TEST(SpscRing, AClaimBehindTheEndThatIsNotCommittedLeavesTheSpaceBeforeIt) {
  RingMemory memory(4096);
  RingProducer producer = memory.producer();
  RingConsumer consumer = memory.consumer();
  for (int record = 0; record < 3; ++record) put(producer, std::string(1016, 'x'));
  put(producer, std::string(504, 'y'));  // 512 bytes are left before the end
  producer.publish();
  while (consumer.next().outcome == Outcome::kRecord) consumer.release(consumer.read_position());
  EXPECT_EQ(producer.claim(900), memory.data() + sizeof(RingRecordLayout));
  EXPECT_EQ(put(producer, "before the end"), 3584 + ring_record_bytes(14));
  put(producer, std::string(900, 'z'));
  producer.publish();
  EXPECT_EQ(text_of(consumer.next()), "before the end");
  EXPECT_EQ(text_of(consumer.next()), std::string(900, 'z'));
  EXPECT_EQ(consumer.next().outcome, Outcome::kEmpty);
}

TEST(SpscRing, WhatIsForgottenCanBeReadAgainUntilItIsReleased) {
  RingMemory memory(16384);
  RingProducer producer = memory.producer();
  RingConsumer consumer = memory.consumer();
  for (int lap = 0; lap < 5; ++lap) {
    const std::uint64_t begin = consumer.read_position();
    for (char letter = 'a'; letter < 'm'; ++letter) put(producer, std::string(1000, letter));
    producer.publish();
    for (int time = 0; time < 2; ++time) {
      consumer.seek(begin);
      for (char letter = 'a'; letter < 'm'; ++letter) {
        const RingRecord record = consumer.next();
        ASSERT_EQ(record.outcome, Outcome::kRecord);
        EXPECT_EQ(text_of(record), std::string(1000, letter));
        consumer.forget(record.end_position);
      }
    }
    consumer.release(begin);  // a step back
    consumer.release(consumer.read_position());
  }
}

TEST(SpscRing, SpaceIsFreeOnlyBehindBothConsumers) {
  RingMemory memory(4096);
  std::atomic<std::uint64_t> second{0};
  RingProducer producer(memory.file(), memory.file_bytes(), &memory.consumer_position, &second);
  for (int record = 0; record < 4; ++record) put(producer, std::string(1016, 'x'));
  producer.publish();
  memory.consumer_position = 2048;
  EXPECT_EQ(producer.claim(1016), nullptr);
  EXPECT_EQ(producer.consumer_position(), 0U);
  second = 1024;
  EXPECT_NE(producer.claim(1016), nullptr);
  EXPECT_EQ(producer.consumer_position(), 1024U);
  EXPECT_EQ(producer.claim(1017), nullptr);
}

TEST(SpscRing, EitherSideGoesOnAfterItIsAttachedAnew) {
  RingMemory memory(4096);
  {
    RingProducer dying = memory.producer();
    put(dying, "published");
    dying.publish();
    put(dying, "lost with its producer");
  }
  RingProducer producer = memory.producer();
  put(producer, "next");
  producer.publish();
  {
    RingConsumer dying = memory.consumer();
    const RingRecord record = dying.next();
    EXPECT_EQ(text_of(record), "published");
    dying.release(record.end_position);
    EXPECT_EQ(text_of(dying.next()), "next");  // read, and not released
  }
  RingConsumer consumer = memory.consumer();
  EXPECT_EQ(text_of(consumer.next()), "next");
  EXPECT_EQ(consumer.next().outcome, Outcome::kEmpty);
}

TEST(SpscRing, ANextProducerKnowsHowManyWerePublishedWhereverTheLastOneDied) {
  RingMemory memory(4096);
  RingConsumer consumer = memory.consumer();
  std::uint64_t published = 0;
  for (int life = 0; life < 50; ++life) {
    RingProducer producer = memory.producer();
    EXPECT_EQ(producer.published_count(), published);
    for (int batch = 0; batch < life % 5; ++batch) {
      for (int record = 0; record <= batch; ++record) {
        put(producer, "some twenty bytes of text");  // not a multiple: padding is no record
        ++published;
      }
      producer.publish();
      EXPECT_EQ(producer.published_count(), published);
      while (consumer.next().outcome == Outcome::kRecord)
        consumer.release(consumer.read_position());
    }
    put(producer, "never seen by anybody");
    // Or it dies with its word about the next position half or wholly written.
    const std::uint64_t next = producer.committed_position();
    for (PublishedLayout& place : memory.header().published) {
      if (place.position.load() == producer.published_position()) continue;
      place.position.store(next);
      if (life % 2 == 0) place.record_count.store(published + 1);
      break;
    }
  }
  EXPECT_GT(published, 100U);
}

TEST(SpscRing, SeekReadsAgain) {
  RingMemory memory(4096);
  RingProducer producer = memory.producer();
  RingConsumer consumer = memory.consumer();
  put(producer, "a");
  put(producer, "b");
  producer.publish();
  const std::uint64_t end_of_first = consumer.next().end_position;
  EXPECT_EQ(text_of(consumer.next()), "b");
  consumer.seek(end_of_first);
  EXPECT_EQ(text_of(consumer.next()), "b");
}

TEST(SpscRing, AConsumersLieMakesTheRingFullAndNothingWorse) {
  RingMemory memory(4096);
  RingProducer producer = memory.producer();
  put(producer, "x");
  producer.publish();
  for (const std::uint64_t lie : {std::uint64_t{17}, std::uint64_t{24}, std::uint64_t{1} << 40U,
                                  ~std::uint64_t{0}, ~std::uint64_t{0} - 4096}) {
    memory.consumer_position = lie;
    RingProducer attached = memory.producer();
    EXPECT_EQ(attached.claim(8), nullptr) << lie;
  }
}

// --- hostile bytes ------------------------------------------------------------------------------

TEST(SpscRing, ABrokenHeaderIsReported) {
  for (const std::uint64_t capacity :
       {std::uint64_t{0}, std::uint64_t{4095}, std::uint64_t{8192}, ~std::uint64_t{0}}) {
    RingMemory memory(4096);
    memory.header().capacity_bytes = capacity;
    RingConsumer consumer = memory.consumer();
    EXPECT_EQ(consumer.next().outcome, Outcome::kBroken) << capacity;
  }
  RingMemory memory(4096);
  memory.header().magic = 0;
  RingConsumer consumer = memory.consumer();
  EXPECT_EQ(consumer.next().outcome, Outcome::kBroken);
}

TEST(SpscRing, BrokenPositionsAreReportedAndFinal) {
  for (const std::uint64_t position :
       {std::uint64_t{4104}, std::uint64_t{12}, ~std::uint64_t{0}, std::uint64_t{1} << 63U}) {
    RingMemory memory(4096);
    RingConsumer consumer = memory.consumer();
    memory.header().producer_position = position;
    EXPECT_EQ(consumer.next().outcome, Outcome::kBroken) << position;
    memory.header().producer_position = 0;
    EXPECT_EQ(consumer.next().outcome, Outcome::kBroken) << position;
  }
  RingMemory memory(4096);
  memory.consumer_position = 8;  // ahead of the producer
  RingConsumer consumer = memory.consumer();
  EXPECT_EQ(consumer.next().outcome, Outcome::kBroken);
}

TEST(SpscRing, BrokenRecordsAreReported) {
  struct Case {
    std::uint64_t position;
    RingRecordLayout record;
  };
  const Case cases[] = {
      {0, {4096, 1}},              // longer than what is there
      {0, {0xffffffff, 1}},        // longer than anything
      {0, {4088, kRingPadding}},   // padding over everything, with nothing behind it
      {0, {8, kRingPadding}},      // padding that does not reach the end
      {4000, {96, 1}},             // crosses the end
      {4000, {80, kRingPadding}},  // padding that does not reach the end exactly
      {4000, {0xffffffff, kRingPadding}},
  };
  for (const Case& broken : cases) {
    RingMemory memory(4096);
    memory.consumer_position = broken.position;
    std::memcpy(memory.data() + broken.position, &broken.record, sizeof broken.record);
    memory.header().producer_position = broken.position + 4096;
    RingConsumer consumer = memory.consumer();
    EXPECT_EQ(consumer.next().outcome, Outcome::kBroken)
        << broken.position << " " << broken.record.size_bytes << " " << broken.record.type;
  }
}

TEST(SpscRing, AnyBytesGiveRecordsWithinTheRingOrBroken) {
  std::mt19937_64 random(test_seed());
  RingMemory memory(4096);
  for (int round = 0; round < 20000; ++round) {
    for (std::uint64_t at = 0; at < 4096; at += 8 * (1 + random() % 16)) {
      RingRecordLayout record{static_cast<std::uint32_t>(random() % 200),
                              static_cast<std::uint32_t>(random() % 3)};
      if (random() % 50 == 0) record.size_bytes = static_cast<std::uint32_t>(random());
      std::memcpy(memory.data() + at, &record, sizeof record);
    }
    const std::uint64_t begin = random() % 8192 / 8 * 8;
    memory.consumer_position = begin;
    memory.header().producer_position = begin + random() % 4200;
    RingConsumer consumer = memory.consumer();
    std::uint64_t read_bytes = 0;
    for (;;) {
      const RingRecord record = consumer.next();
      if (record.outcome != Outcome::kRecord) break;
      ASSERT_GE(record.payload, memory.data());
      ASSERT_LE(record.payload + record.size_bytes, memory.data() + 4096);
      ASSERT_GT(record.end_position, record.position);
      read_bytes += record.end_position - record.position;
      ASSERT_LE(read_bytes, 4096U);
    }
  }
}

// --- against a plain reference ------------------------------------------------------------------

TEST(SpscRing, BehavesLikeADequeOfRecords) {
  std::mt19937_64 random(test_seed());
  for (const std::uint64_t capacity : {std::uint64_t{4096}, std::uint64_t{16384}}) {
    RingMemory memory(capacity);
    RingProducer producer = memory.producer();
    RingConsumer consumer = memory.consumer();
    struct Expected {
      std::string payload;
      std::uint32_t type;
      std::uint64_t end_position;
    };
    std::deque<Expected> committed;  // not yet published
    std::deque<Expected> visible;    // not yet read
    std::uint64_t used_from = 0;     // released up to there
    std::uint64_t taken_to = 0;
    for (int step = 0; step < 200000; ++step) {
      switch (random() % 8) {
        case 0:
        case 1:
        case 2:
        case 3: {
          const auto size_max = static_cast<std::uint32_t>(random() % (capacity / 4 + 1));
          std::uint8_t* claimed = producer.claim(size_max);
          const std::uint64_t used = producer.committed_position() - used_from;
          if (claimed == nullptr) {
            // Refused only when the record, with the padding it may need, would not fit.
            ASSERT_GT(used + 2 * ring_record_bytes(size_max), capacity);
            break;
          }
          ASSERT_EQ(reinterpret_cast<std::uintptr_t>(claimed) % 8, 0U);
          const auto size = static_cast<std::uint32_t>(random() % (size_max + 1));
          std::string payload(size, '\0');
          for (char& byte : payload) byte = static_cast<char>(random());
          std::memset(claimed, 0xee, size_max);
          std::memcpy(claimed, payload.data(), size);
          if (random() % 16 == 0) break;  // thinks better of it
          const auto type = static_cast<std::uint32_t>(1 + random() % 100);
          const std::uint64_t end = producer.commit(size, type);
          ASSERT_LE(end - used_from, capacity);
          committed.push_back({std::move(payload), type, end});
          break;
        }
        case 4: {
          ASSERT_EQ(producer.publish(), !committed.empty());
          for (Expected& record : committed) visible.push_back(std::move(record));
          committed.clear();
          break;
        }
        case 5:
        case 6: {
          const RingRecord record = consumer.next();
          if (visible.empty()) {
            ASSERT_EQ(record.outcome, Outcome::kEmpty);
            break;
          }
          ASSERT_EQ(record.outcome, Outcome::kRecord);
          ASSERT_EQ(text_of(record), visible.front().payload);
          ASSERT_EQ(record.type, visible.front().type);
          ASSERT_EQ(record.position, taken_to);
          ASSERT_EQ(record.end_position, visible.front().end_position);
          taken_to = record.end_position;
          visible.pop_front();
          break;
        }
        default:
          consumer.release(taken_to);
          used_from = taken_to;
          if (random() % 8 == 0) consumer = memory.consumer();
          if (random() % 8 == 0) {
            producer = memory.producer();
            committed.clear();
          }
          break;
      }
    }
  }
}

}  // namespace
}  // namespace deja
