#include "workers/event_record_view.h"

#include <gtest/gtest.h>

#include <random>
#include <string_view>

#include "tests/support/seed.h"
#include "tests/support/test_event.h"

namespace deja::event_record {
namespace {

std::string_view view(const capnp_view::Text& text) {
  return {text.data, text.size};
}

/// Everything that a decoder asks, of both. True: both found nothing wrong.
bool say_the_same(UsualLayout& usual, const AnyLayout& any) {
  for (std::uint32_t offset = 0; offset < 48; ++offset) {
    EXPECT_EQ(usual.get<std::uint8_t>(offset), any.get<std::uint8_t>(offset)) << offset;
  }
  EXPECT_EQ(view(usual.key()), view(any.key()));
  EXPECT_EQ(usual.value_count(), any.value_count());
  for (std::uint32_t at = 0; at < usual.value_count(); ++at) {
    for (std::uint32_t offset = 0; offset < 16; ++offset) {
      EXPECT_EQ(usual.value<std::uint8_t>(at, offset), any.value<std::uint8_t>(at, offset));
    }
    EXPECT_EQ(view(usual.text(at)), view(any.text(at))) << at;
  }
  EXPECT_EQ(usual.damaged(), any.damaged());
  return !any.damaged();
}

std::vector<std::uint8_t> record() {
  TestEvent event{"user-17"};
  event.id_low = 5;
  event.values = {{0, 0, ValueKind::kText, 0, "shoe"},
                  {2, 0, ValueKind::kNumber, 9.5},
                  {1, 0, ValueKind::kText, 0, "a text that is longer than a word"}};
  return event.bytes(4);
}

TEST(EventRecordView, KnowsTheLayoutThatRecordsHave) {
  const std::vector<std::uint8_t> bytes = record();
  const auto size = static_cast<std::uint32_t>(bytes.size());
  UsualLayout usual(bytes.data(), size);
  ASSERT_TRUE(usual.usual());
  EXPECT_TRUE(say_the_same(usual, AnyLayout(bytes.data(), size)));
}

TEST(EventRecordView, DoesNotKnowOneThatEndsEarly) {
  const std::vector<std::uint8_t> bytes = record();
  for (std::uint32_t size = 0; size < 72; ++size) {
    EXPECT_FALSE(UsualLayout(bytes.data(), size).usual()) << size;
  }
}

TEST(EventRecordView, OfAnyBytesSaysWhatCapnProtosRulesSay) {
  std::mt19937_64 random(test_seed());
  const std::vector<std::uint8_t> good = record();
  int whole = 0;
  int damaged = 0;
  for (int round = 0; round < 200'000; ++round) {
    // Of its own size, so that a look behind the end is seen under ASan.
    std::vector<std::uint8_t> bytes = good;
    if (random() % 4 == 0) bytes.resize(bytes.size() - random() % bytes.size());
    // The pointers are what there is to get wrong: words 7, 8, the tag, each third word behind it.
    for (std::uint64_t changes = random() % 3; changes > 0; --changes) {
      const std::size_t at = random() % 2 == 0 ? 56 + random() % 88 : random();
      if (!bytes.empty()) bytes[at % bytes.size()] ^= static_cast<std::uint8_t>(1U << random() % 8);
    }
    const auto size = static_cast<std::uint32_t>(bytes.size());
    UsualLayout usual(bytes.data(), size);
    if (!usual.usual()) continue;
    ++(say_the_same(usual, AnyLayout(bytes.data(), size)) ? whole : damaged);
    if (testing::Test::HasFailure()) FAIL() << "round " << round;
  }
  EXPECT_GT(whole, 1000);
  EXPECT_GT(damaged, 1000);
}

}  // namespace
}  // namespace deja::event_record
