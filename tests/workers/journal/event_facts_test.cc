// An event of the journal that goes to another shard is otherwise the same event.
#include "workers/journal/event_facts.h"

#include <gtest/gtest.h>

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
