// A keeper that dies while it files everything under another count of shards: what the next one
// makes of it. Against a real redis-server.
#include "tests/workers/keeper/keeper_process.h"
#include "tests/workers/keeper/shard_lives.h"

namespace deja {
namespace {

/// Points of a change of the count of shards: wherever the keeper dies, the next one has everybody
/// once, under his new name, and a further change finds him there.
class ShardsCrashPoint : public ShardLives, public testing::WithParamInterface<const char*> {};

TEST_P(ShardsCrashPoint, LosesNothingAndDoublesNothingThere) {
  live_and_lose_redis(plan(2), 900);
  {
    KeeperAppliance appliance(plan(3, 1000));
    const pid_t child = start_keeper_process(appliance, GetParam());
    bool recovered = false;
    int status = 0;
    ASSERT_TRUE(eventually([&] {
      const bool all = recovered || appliance.take_returned();
      if (all && !recovered) view_some(appliance, 100);
      recovered = all;
      return waitpid(child, &status, WNOHANG) == child;
    })) << "the point was never reached";
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    appliance.start_keeper();
    ASSERT_TRUE(appliance.recover());
    view_some(appliance, 100);
    ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
    expect_all_stored(appliance);
    EXPECT_TRUE(eventually([&] { return redis_.cli("exists deja:resharding") == "0"; }));
    EXPECT_EQ(appliance.stop_keeper(), "");
  }
  live_and_lose_redis(plan(1), 200);
  KeeperAppliance appliance(plan(1));
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  expect_all_stored(appliance);
  EXPECT_EQ(appliance.stop_keeper(), "");
}

INSTANTIATE_TEST_SUITE_P(At, ShardsCrashPoint,
                         testing::Values("keeper.after_resharding", "keeper.in_filing",
                                         "keeper.after_filing", "keeper.after_unjournaled",
                                         "keeper.before_resharded", "keeper.after_resharded"),
                         [](const auto& point) {
                           return std::string(point.param).substr(sizeof "keeper." - 1);
                         });

/// The whole host dies there instead: nothing is left but Redis and the journal.
TEST_P(ShardsCrashPoint, LosesNothingWhereTheSegmentGoesToo) {
  live_and_lose_redis(plan(2), 900);
  {
    KeeperAppliance appliance(plan(3, 1000));
    const pid_t child = start_keeper_process(appliance, GetParam());
    int status = 0;
    ASSERT_TRUE(eventually([&] {
      (void)appliance.take_returned();
      return waitpid(child, &status, WNOHANG) == child;
    })) << "the point was never reached";
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  }
  for (const std::uint32_t count : {3U, 2U, 1U}) live_and_lose_redis(plan(count), 200);
  KeeperAppliance appliance(plan(1));
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  expect_all_stored(appliance);
  EXPECT_EQ(appliance.stop_keeper(), "");
}

}  // namespace
}  // namespace deja
