#include "workers/id_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <new>
#include <random>

#include "tests/support/seed.h"

namespace deja {
namespace {

/// Zeroed memory of a set, which outlives the IdSets on it.
class IdMemory {
 public:
  explicit IdMemory(std::uint32_t window)
      : window_(window), bytes_(id_set_bytes(window)), lines_(new Line[bytes_ / sizeof(Line)]()) {}
  [[nodiscard]] IdSet attach() { return {lines_.get(), window_}; }
  [[nodiscard]] void* data() { return lines_.get(); }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  struct alignas(kCacheLineBytes) Line {
    std::uint8_t bytes[kCacheLineBytes];
  };
  std::uint32_t window_;
  std::uint64_t bytes_;
  std::unique_ptr<Line[]> lines_;
};

TEST(IdSet, RemembersExactlyTheLastIdsOfTheWindow) {
  IdMemory memory(3);
  IdSet set = memory.attach();
  EXPECT_TRUE(set.insert(10));
  EXPECT_TRUE(set.insert(20));
  EXPECT_TRUE(set.insert(30));
  EXPECT_FALSE(set.insert(10)) << "known, and not made newer by that";
  EXPECT_TRUE(set.insert(40));
  EXPECT_FALSE(set.contains(10));
  EXPECT_TRUE(set.contains(20));
  EXPECT_TRUE(set.contains(40));
  EXPECT_EQ(set.inserted_count(), 4U);
  EXPECT_EQ(set.forgotten_count(), 1U);
}

TEST(IdSet, AWindowOfNothingRemembersNothing) {
  IdMemory memory(0);
  IdSet set = memory.attach();
  EXPECT_FALSE(set.insert(1));
  EXPECT_FALSE(set.contains(1));
}

TEST(IdSet, FoldingKeepsBothHalvesAndTheSecretApart) {
  const std::uint64_t secret[2] = {1, 2};
  const std::uint64_t other[2] = {1, 3};
  EXPECT_NE(fold_id(1, 2, secret), fold_id(2, 1, secret));
  EXPECT_NE(fold_id(1, 2, secret), fold_id(1, 3, secret));
  EXPECT_NE(fold_id(1, 2, secret), fold_id(1, 2, other));
}

TEST(IdSet, AnInsertionThatWasCutOffIsDoneAgainAsIfNothingHadBeen) {
  IdMemory memory(2);
  {
    IdSet set = memory.attach();
    for (std::uint64_t id = 1; id <= 5; ++id) set.insert(id);
    // Killed in insert(6), before the store that counts: the id is in place, and counts for
    // nothing.
    auto* ids = reinterpret_cast<std::uint64_t*>(static_cast<IdSetLayout*>(memory.data()) + 1);
    ids[5 % 3] = 6;
  }
  IdSet set = memory.attach();
  EXPECT_TRUE(set.contains(4));
  EXPECT_TRUE(set.contains(5));
  EXPECT_FALSE(set.contains(6));
  EXPECT_TRUE(set.insert(6));
  EXPECT_FALSE(set.contains(4));
  EXPECT_TRUE(set.insert(7));
  EXPECT_TRUE(set.contains(6)) << "it is as young as it ought to be";
}

TEST(IdSet, ATableLeftHalfChangedIsRebuiltThoughItLooksWhole) {
  constexpr std::uint32_t kWindow = 100;
  IdMemory memory(kWindow);
  {
    IdSet set = memory.attach();
    for (std::uint64_t id = 1; id <= kWindow; ++id) set.insert(id * 0x9e3779b97f4a7c15U);
  }
  auto* layout = static_cast<IdSetLayout*>(memory.data());
  EXPECT_EQ(layout->changing.load(), 0U);
  auto* table =
      reinterpret_cast<std::uint32_t*>(reinterpret_cast<std::uint64_t*>(layout + 1) + kWindow + 1);
  // As many places as before, and none where it belongs.
  std::reverse(table, table + id_table_slots(kWindow));
  layout->changing.store(1);
  const IdSet set = memory.attach();
  for (std::uint64_t id = 1; id <= kWindow; ++id) {
    EXPECT_TRUE(set.contains(id * 0x9e3779b97f4a7c15U)) << id;
  }
  EXPECT_EQ(layout->changing.load(), 0U);
}

TEST(IdSet, BehavesLikeADequeOfIds) {
  std::mt19937_64 random(test_seed());
  for (const std::uint32_t window : {1U, 2U, 7U, 64U, 1000U}) {
    IdMemory memory(window);
    IdSet set = memory.attach();
    std::deque<std::uint64_t> reference;
    // Ids whose low bits meet, so that chains grow, wrap around and are shortened in the middle.
    const std::uint64_t clusters = 1 + random() % 4;
    const std::uint64_t range = window * 3;
    for (int step = 0; step < 60000; ++step) {
      const std::uint64_t draw = random() % range;
      const std::uint64_t id = (draw << 40U) + (~std::uint64_t{0} >> 24U) - draw % clusters;
      const bool known = std::find(reference.begin(), reference.end(), id) != reference.end();
      ASSERT_EQ(set.contains(id), known) << "window " << window << " step " << step;
      if (random() % 2 == 0) {
        ASSERT_EQ(set.insert(id), !known);
        if (!known) reference.push_back(id);
        if (reference.size() > window) reference.pop_front();
      }
      if (random() % 1000 == 0) {
        // A table that can't be one is never believed.
        const std::uint64_t table_bytes = id_table_slots(window) * 4;
        auto* table = static_cast<std::uint8_t*>(memory.data()) + sizeof(IdSetLayout) +
                      (std::uint64_t{window} + 1) * 8;
        std::memset(table, static_cast<int>(random() % 256), table_bytes);
        set = memory.attach();
      }
    }
  }
}

}  // namespace
}  // namespace deja
