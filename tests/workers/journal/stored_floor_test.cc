// Up to where the store has a user's events, told under one count of shards and under several.
#include "workers/journal/stored_floor.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/seed.h"

namespace deja {
namespace {

TEST(StoredFloor, OfOneCountIsTheShardsOwnAndOfAnotherTheLowest) {
  const StoredFloor floor(StoredFloor::Division{30, 10, 20});
  EXPECT_EQ(floor.of_shard(3, 0), 30U);
  EXPECT_EQ(floor.of_shard(3, 1), 10U);
  EXPECT_EQ(floor.of_shard(2, 0), 10U);
  EXPECT_EQ(floor.of(5), 20U);  // 5 % 3
  EXPECT_EQ(floor.of(0x80000004U), 10U);
  EXPECT_EQ(floor.highest(), 30U);
}

TEST(StoredFloor, OfSeveralCountsWhatAnyOfThemSaysHolds) {
  const StoredFloor floor(std::vector<StoredFloor::Division>{{30, 10}, {}, {12, 12, 25}});
  EXPECT_EQ(floor.of(0), 30U);
  EXPECT_EQ(floor.of(1), 12U);
  EXPECT_EQ(floor.of(5), 25U);
  EXPECT_EQ(floor.of_shard(2, 0), 30U);
  EXPECT_EQ(floor.of_shard(2, 1), 12U);
  EXPECT_EQ(floor.of_shard(7, 3), 12U);
  EXPECT_EQ(floor.highest(), 30U);
}

TEST(StoredFloor, NothingKnownIsZero) {
  const StoredFloor floor(std::vector<StoredFloor::Division>{});
  EXPECT_EQ(floor.of(1), 0U);
  EXPECT_EQ(floor.of_shard(3, 1), 0U);
  EXPECT_EQ(floor.highest(), 0U);
}

TEST(StoredFloor, NoShardsFloorLiesAboveThatOfAnyOfItsUsers) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 200; ++round) {
    std::vector<StoredFloor::Division> divisions(1 + random() % 4);
    for (StoredFloor::Division& division : divisions) {
      division.resize(1 + random() % 5);
      for (std::uint64_t& sequence : division) sequence = random() % 100;
    }
    const StoredFloor floor(divisions);
    const auto count = static_cast<std::uint32_t>(1 + random() % 5);
    for (int user = 0; user < 50; ++user) {
      const auto hash = static_cast<std::uint32_t>(random());
      EXPECT_LE(floor.of_shard(count, shard_of_hash(hash, count)), floor.of(hash));
      EXPECT_LE(floor.of(hash), floor.highest());
    }
  }
}

}  // namespace
}  // namespace deja
