// Lists of ids as the journal keeps them, of one count of shards and of several.
#include "workers/journal/journal_ids.h"

#include <gtest/gtest.h>

namespace deja {
namespace {

using Ids = std::vector<JournalIdLayout>;

JournalIdLayout id(std::uint64_t sequence, std::uint64_t low, std::int64_t consumed_us = 0) {
  return {sequence, low, 0, consumed_us, 0, 0};
}
std::vector<std::uint64_t> lows(const Ids& ids) {
  std::vector<std::uint64_t> all;
  for (const JournalIdLayout& each : ids) all.push_back(each.low);
  return all;
}

TEST(JournalIds, AreSortedAndTheSameOneIsThereOnce) {
  Ids ids = {id(3, 33), id(1, 11), id(3, 33), id(2, 22)};
  sort_ids(ids);
  EXPECT_EQ(lows(ids), (std::vector<std::uint64_t>{11, 22, 33}));
}

TEST(JournalIds, TwoOfOneSequenceOfTwoFormerShardsAreBothKept) {
  Ids ids = {id(3, 34), id(3, 33), id(3, 34)};
  sort_ids(ids);
  EXPECT_EQ(lows(ids), (std::vector<std::uint64_t>{33, 34}));
}

TEST(JournalIds, OfOneShardTheHighestSequencesAreTheNewest) {
  Ids ids = {id(5, 5, 1), id(4, 4, 9), id(6, 6, 2)};
  keep_newest_ids(ids, 2);
  EXPECT_EQ(lows(ids), (std::vector<std::uint64_t>{5, 6}));
}

TEST(JournalIds, OfSeveralShardsTheClockTellsTheNewest) {
  Ids ids = {id(500, 5, 1), id(4, 4, 9), id(500, 5, 1), id(6, 6, 2)};
  keep_latest_ids(ids, 2);
  EXPECT_EQ(lows(ids), (std::vector<std::uint64_t>{6, 4}));
}

TEST(JournalIds, GoToTheShardOfTheirUserOnceTheCountIsAnother) {
  JournalIdLayout of_user = id(1, 1);
  of_user.key_hash = 0x80000007U;
  EXPECT_EQ(shard_of_id(of_user, 2, 5, 5), 2U);
  EXPECT_EQ(shard_of_id(of_user, 2, 5, 4), 3U);
}

}  // namespace
}  // namespace deja
