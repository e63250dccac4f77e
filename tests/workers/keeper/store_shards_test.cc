// Another count of shards over what is stored: everybody is found under his new shard, with all
// that he did. Against a real redis-server.
#include "tests/workers/keeper/shard_lives.h"

namespace deja {
namespace {

using StoreShards = ShardLives;

TEST_F(StoreShards, EverythingIsInTwoThenInThreeThenInOneAndInTwoAgain) {
  live_and_lose_redis(plan(2), 600);
  for (const std::uint32_t count : {3U, 1U, 2U}) live_and_lose_redis(plan(count), 300);
  KeeperAppliance appliance(plan(2));
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  expect_all_stored(appliance);
  expect_all_in_memory(appliance);
  EXPECT_EQ(redis_.cli("get deja:shards"), "2");
  EXPECT_EQ(redis_.cli("llen deja:resharding"), "3");
  EXPECT_EQ(appliance.stop_keeper(), "");
}

TEST_F(StoreShards, WhereRedisHasEverythingNothingIsAppliedAgain) {
  {
    KeeperAppliance appliance(plan(2));
    appliance.start_keeper();
    ASSERT_TRUE(appliance.recover());
    view_some(appliance, 500);
    ASSERT_EQ(appliance.stop_keeper(), "");
  }
  KeeperAppliance appliance(plan(5));
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  EXPECT_EQ(appliance.counter("deja_profiles_restored_total"), views_.size());
  EXPECT_EQ(appliance.counter("deja_profiles_refused_total{reason=\"wrong_shard\"}"), 0U);
  EXPECT_TRUE(appliance.replayed().empty());
  view_some(appliance, 500);
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  expect_all_stored(appliance);
}

TEST_F(StoreShards, TheJournalAloneIsEnough) {
  for (const std::uint32_t count : {2U, 3U, 1U}) {
    live_and_lose_redis(plan(count), 400);
    redis_.cli("flushall");
  }
  KeeperAppliance appliance(plan(4));
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  expect_all_stored(appliance);
  EXPECT_EQ(appliance.replayed().size(), static_cast<std::size_t>(viewed_));
}

TEST_F(StoreShards, TheFormerCountIsForgottenOnceTheNewOneIsConfirmed) {
  live_and_lose_redis(plan(2), 500);
  for (int life = 0; life < 2; ++life) {
    KeeperAppliance appliance(plan(3, 1000));
    appliance.start_keeper();
    ASSERT_TRUE(appliance.recover());
    if (life == 0) {
      EXPECT_EQ(redis_.cli("llen deja:resharding"), "1");
    }
    view_some(appliance, 100);
    EXPECT_TRUE(eventually([&] { return redis_.cli("exists deja:resharding") == "0"; }));
    // What was written in two shards is needed for its ids alone.
    EXPECT_TRUE(eventually([&] { return appliance.counter("deja_journal_segments") > 1; }));
    ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
    expect_all_stored(appliance);
    ASSERT_EQ(appliance.stop_keeper(), "");
    EXPECT_EQ(appliance.replayed().empty(), life == 1);
  }
}

TEST_F(StoreShards, ARedisThatLosesTheChangeIsFiledAgainWhileEverybodyIsServed) {
  {
    KeeperAppliance appliance(plan(2));
    appliance.start_keeper();
    ASSERT_TRUE(appliance.recover());
    view_some(appliance, 400);
    ASSERT_EQ(appliance.stop_keeper(), "");
  }
  const std::string was = directory_ + "/was";
  redis_.stop();
  redis_.keep_data(was);
  ASSERT_TRUE(redis_.start());
  KeeperAppliance appliance(plan(3));
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  view_some(appliance, 200);
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  redis_.stop();
  redis_.bring_data(was);
  ASSERT_TRUE(redis_.start());
  view_some(appliance, 50);
  ASSERT_TRUE(eventually([&] {
    return redis_.cli("get deja:shards") == "3" && appliance.all_written() &&
           appliance.counter("deja_redis_connected") == 1;
  }));
  expect_all_stored(appliance);
  EXPECT_EQ(appliance.stop_keeper(), "");
}

TEST_F(StoreShards, OfTwoUnderOneNameTheNewerOneStays) {
  {
    KeeperAppliance appliance(plan(2));
    appliance.start_keeper();
    ASSERT_TRUE(appliance.recover());
    view_some(appliance, 400);
    ASSERT_EQ(appliance.stop_keeper(), "");
  }
  KeeperAppliance appliance(plan(3));
  const KeeperAppliance before(plan(2));
  int copies = 0;
  for (int at = 0; at < 20; ++at) {
    const std::string user = "u" + std::to_string(at);
    const std::string from = before.redis_key(user);
    const std::string to = appliance.redis_key(user);
    if (from == to) continue;
    redis_.cli("copy " + from + " " + to);
    const std::string& older = at % 2 == 0 ? from : to;
    redis_.cli("hset " + older + " sequence 0 views 1000 image nonsense");
    ++copies;
  }
  ASSERT_GT(copies, 5);
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  expect_all_in_memory(appliance);
  EXPECT_EQ(appliance.counter("deja_profiles_restored_total"), views_.size());
  view_some(appliance, 400);
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  expect_all_stored(appliance);
}

TEST_F(StoreShards, NothingNewLiesBelowWhatTheFormerCountHad) {
  {
    KeeperAppliance appliance(plan(2));
    appliance.start_keeper();
    ASSERT_TRUE(appliance.recover());
    view_some(appliance, 100);
    ASSERT_EQ(appliance.stop_keeper(), "");
  }
  // The last things in a shard were no profiles' events, and the journal has forgotten them.
  redis_.cli("hset 'deja:{0}:watermark' sequence 5000");
  std::filesystem::remove_all(directory_ + "/journal");
  for (const std::uint32_t count : {3U, 1U}) live_and_lose_redis(plan(count), 100);
  KeeperAppliance appliance(plan(1));
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  expect_all_stored(appliance);
}

TEST_F(StoreShards, WhatIsNoCountAndNoWatermarksIsRefusedWithASentence) {
  live_and_lose_redis(plan(2), 20);
  const auto refusal = [&](std::uint32_t count) {
    KeeperAppliance appliance(plan(count));
    appliance.start_keeper();
    return appliance.wait_for_keeper();
  };
  for (const char* count : {"zero", "0", "-3", "1.5", "70000"}) {
    redis_.cli(std::string("set deja:shards ") + count);
    EXPECT_NE(refusal(3).find("a deja:shards that is no count: '" + std::string(count) + "'"),
              std::string::npos);
  }
  redis_.cli("set deja:shards 2");
  redis_.cli("rpush deja:resharding '1 2 many'");
  EXPECT_NE(refusal(2).find("a deja:resharding that can't be read"), std::string::npos);
  redis_.cli("del deja:resharding");
  KeeperAppliance appliance(plan(3));
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  expect_all_stored(appliance);
}

TEST_F(StoreShards, WithoutMemoryForTheChangeRedisIsLeftAsItIsAndTriedAgain) {
  live_and_lose_redis(plan(2), 200);
  redis_.cli("config set maxmemory 1");
  KeeperAppliance appliance(plan(3));
  appliance.start_keeper();
  ASSERT_TRUE(eventually([&] { return appliance.counter("deja_redis_errors_total") > 0; }));
  EXPECT_EQ(redis_.cli("get deja:shards"), "2");
  redis_.cli("config set maxmemory 0");
  ASSERT_TRUE(appliance.recover());
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  expect_all_stored(appliance);
}

}  // namespace
}  // namespace deja
