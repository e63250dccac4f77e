// How a rejected event lies in a ring and in a log, byte for byte, and that nothing else passes for
// one.
#include "ring/rejected_event.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "ring/spsc_ring.h"
#include "tests/ring/ring_memory.h"
#include "tests/support/seed.h"

namespace deja {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes record_of(std::string_view text) {
  RejectedEventLayout head{};
  head.received_us = 0x0102030405060708;
  head.text_bytes = static_cast<std::uint32_t>(text.size());
  head.flags = kRejectedCut;
  head.form = RejectedForm::kStream;
  head.call = 6;
  std::memcpy(head.code, "bad_type", 8);
  std::memcpy(head.path, "a.b", 3);
  Bytes bytes(sizeof head + text.size());
  std::memcpy(bytes.data(), &head, sizeof head);
  std::memcpy(bytes.data() + sizeof head, text.data(), text.size());
  return bytes;
}

TEST(RejectedEvent, LiesWhereItAlwaysDid) {
  const std::string start = {8, 7, 6, 5, 4, 3, 2, 1, 2, 0, 0, 0,
                             1, 0, 0, 0, 3, 6, 0, 0, 0, 0, 0, 0};
  const std::string golden =
      start + "bad_type" + std::string(16, '\0') + "a.b" + std::string(117, '\0') + "{}";
  const Bytes bytes = record_of("{}");
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), golden);
  EXPECT_EQ(kEventRecord, 1U);
  EXPECT_EQ(kRejectedEvent, 2U);
}

TEST(RejectedEvent, ReadsBackWhatWasWritten) {
  const Bytes bytes = record_of("{\"a\":1}");
  const auto event = rejected_event_of(bytes);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->received_us, 0x0102030405060708);
  EXPECT_EQ(event->code, "bad_type");
  EXPECT_EQ(event->path, "a.b");
  EXPECT_EQ(event->text, "{\"a\":1}");
  EXPECT_EQ(event->form, RejectedForm::kStream);
  EXPECT_EQ(event->call, 6);
  EXPECT_TRUE(event->cut);
}

TEST(RejectedEvent, IsNothingElse) {
  const Bytes good = record_of("text");
  EXPECT_FALSE(rejected_event_of({}));
  EXPECT_FALSE(rejected_event_of({good.data(), sizeof(RejectedEventLayout) - 1}));
  EXPECT_FALSE(rejected_event_of({good.data(), good.size() - 1})) << "a text that is longer";
  const auto with = [&](std::size_t at, std::uint8_t byte) {
    Bytes bytes = good;
    bytes[at] = byte;
    return rejected_event_of(bytes).has_value();
  };
  EXPECT_FALSE(with(offsetof(RejectedEventLayout, form), 0));
  EXPECT_FALSE(with(offsetof(RejectedEventLayout, form), 4));
  EXPECT_FALSE(with(offsetof(RejectedEventLayout, call), 7));
  EXPECT_FALSE(with(offsetof(RejectedEventLayout, code), 0));
  // Texts without a zero end where their place does; whatever the bytes are, none beyond is read.
  Bytes full = good;
  std::fill_n(full.begin() + offsetof(RejectedEventLayout, code), 24 + 120, std::uint8_t{'x'});
  EXPECT_EQ(rejected_event_of(full)->code.size(), 24U);
  EXPECT_EQ(rejected_event_of(full)->path.size(), 120U);
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes(random() % 400);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    const auto event = rejected_event_of(bytes);
    if (!event) continue;
    EXPECT_EQ(event->text.data() + event->text.size(),
              reinterpret_cast<const char*>(bytes.data()) + bytes.size());
  }
}

TEST(RejectedEvent, IsNotCountedAmongARingsRecordsInThisLifeOrTheNext) {
  RingMemory memory(4096);
  RingProducer producer = memory.producer();
  const auto put = [](RingProducer& into, Counted counted) {
    ASSERT_NE(into.claim(8), nullptr);
    into.commit(8, counted == Counted::kYes ? kEventRecord : kRejectedEvent, counted);
  };
  put(producer, Counted::kYes);
  put(producer, Counted::kNo);
  put(producer, Counted::kYes);
  ASSERT_TRUE(producer.publish());
  EXPECT_EQ(producer.published_count(), 2U);
  put(producer, Counted::kNo);
  ASSERT_TRUE(producer.publish()) << "alone it is published all the same";
  EXPECT_EQ(producer.published_count(), 2U);
  EXPECT_EQ(memory.producer().published_count(), 2U);
  EXPECT_EQ(memory.producer().published_position(), producer.published_position());
}

}  // namespace
}  // namespace deja
