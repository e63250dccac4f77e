// What the keeper reads of an event is what Cap'n Proto reads of it, and an event of the journal
// that goes to another shard is otherwise the same event.
#include "workers/journal/event_facts.h"

#include <capnp/message.h>
#include <gtest/gtest.h>
#include <kj/encoding.h>

#include <random>

#include "tests/support/seed.h"
#include "tests/support/test_event.h"

namespace deja {
namespace {

std::vector<std::uint64_t> words_of(const std::vector<std::uint8_t>& bytes) {
  std::vector<std::uint64_t> words(bytes.size() / 8);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

/// All of it but the shard.
std::string text_of(const std::vector<std::uint64_t>& words) {
  const kj::ArrayPtr<const capnp::word> segments[] = {
      {reinterpret_cast<const capnp::word*>(words.data()), words.size()}};
  capnp::SegmentArrayMessageReader message(segments);
  capnp::MallocMessageBuilder copy;
  copy.setRoot(message.getRoot<schema::EventRecord>());
  copy.getRoot<schema::EventRecord>().setShard(0);
  return kj::str(copy.getRoot<schema::EventRecord>().asReader()).cStr();
}

/// By Cap'n Proto alone.
std::string expected_facts(const std::vector<std::uint64_t>& words) {
  const kj::ArrayPtr<const capnp::word> segments[] = {
      {reinterpret_cast<const capnp::word*>(words.data()), words.size()}};
  try {
    capnp::SegmentArrayMessageReader message(segments);
    const auto event = message.getRoot<schema::EventRecord>();
    const auto key = event.getKey();
    if (key.size() == 0 || key.size() > kKeyBytesMax || event.getKeyNamespace() > 1) return "";
    return kj::str(event.getKeyNamespace(), ' ', kj::encodeHex(key), ' ', event.getIdLow(), ' ',
                   event.getIdHigh(), ' ', event.getShard())
        .cStr();
  } catch (const kj::Exception&) {
    return "";
  }
}
std::string read_facts(const std::vector<std::uint64_t>& words) {
  EventFacts facts;
  if (read_event_facts(words.data(), words.size(), kKeyBytesMax, facts) != nullptr) return "";
  const kj::ArrayPtr<const kj::byte> key(reinterpret_cast<const kj::byte*>(facts.key.bytes),
                                         facts.key.size);
  return kj::str(static_cast<unsigned>(facts.key.name_space), ' ', kj::encodeHex(key), ' ',
                 facts.id_low, ' ', facts.id_high, ' ', facts.shard)
      .cStr();
}

TEST(EventFacts, AreWhatCapnProtoReads) {
  TestEvent event{"ada"};
  event.name_space = KeyNamespace::kAnonymous;
  event.id_low = 7;
  event.id_high = 9;
  event.values = {{2, 0, ValueKind::kNumber, 2.5}, {0, 1, ValueKind::kText, 0, "p1"}};
  const std::vector<std::uint64_t> words = words_of(event.bytes(4));
  EXPECT_EQ(read_facts(words), expected_facts(words));
  EXPECT_NE(read_facts(words), "");
}

TEST(EventFacts, AreTheSameOfAnyBytes) {
  std::mt19937_64 random(test_seed());
  TestEvent event{"ada"};
  event.id_low = 7;
  event.values = {{0, 0, ValueKind::kText, 0, "p1"}};
  int understood = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::vector<std::uint64_t> words = words_of(event.bytes(4));
    const int changes = 1 + static_cast<int>(random() % 3);
    for (int change = 0; change < changes; ++change) {
      // Pointers most of all: one bit, or a byte, of one of the first words.
      std::uint64_t& word = words[random() % (random() % 2 == 0 ? words.size() : 10)];
      word ^= random() % 2 == 0 ? 1ULL << random() % 64 : (random() % 256) << (random() % 8) * 8;
    }
    words.resize(random() % 4 == 0 ? random() % words.size() : words.size());
    const std::string expected = expected_facts(words);
    ASSERT_EQ(read_facts(words), expected) << "round " << round;
    understood += expected.empty() ? 0 : 1;
  }
  EXPECT_GT(understood, 10'000);
}

TEST(MoveEvent, ChangesTheShardAndNothingElse) {
  TestEvent event{"ada"};
  event.kinds = 5;
  event.id_low = 7;
  event.values = {{2, 0, ValueKind::kNumber, 2.5}, {0, 1, ValueKind::kText, 0, "p1"}};
  std::vector<std::uint64_t> words = words_of(event.bytes(4));
  const std::string before = text_of(words);
  const std::size_t size = words.size();
  ASSERT_TRUE(move_event(words, 3));
  EventFacts facts;
  ASSERT_EQ(read_event_facts(words.data(), words.size(), kKeyBytesMax, facts), nullptr);
  EXPECT_EQ(facts.shard, 3U);
  EXPECT_EQ(std::string(facts.key.bytes, facts.key.size), "ada");
  EXPECT_EQ(text_of(words), before);
  EXPECT_LE(words.size(), size) << "a worker has room for no longer one";
}

TEST(MoveEvent, ToShardZeroToo) {
  std::vector<std::uint64_t> words = words_of(TestEvent{"bob"}.bytes(64));
  ASSERT_TRUE(move_event(words, 0));
  EventFacts facts;
  ASSERT_EQ(read_event_facts(words.data(), words.size(), kKeyBytesMax, facts), nullptr);
  EXPECT_EQ(facts.shard, 0U);
}

TEST(MoveEvent, TakesAnyBytesWithoutHarm) {
  std::mt19937_64 random(test_seed());
  TestEvent event{"ada"};
  event.values = {{0, 0, ValueKind::kText, 0, "p1"}};
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::uint64_t> words = words_of(event.bytes(4));
    words[random() % words.size()] = random();
    words.resize(random() % 4 == 0 ? random() % words.size() : words.size());
    if (!move_event(words, 1)) continue;
    EventFacts facts;
    (void)read_event_facts(words.data(), words.size(), kKeyBytesMax, facts);
  }
}

}  // namespace
}  // namespace deja
