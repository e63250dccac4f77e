// A watermark and what comes while its pass is under way: against a real redis-server that is made
// to wait, so that the pass is where the test wants it.
#include <gtest/gtest.h>

#include <sstream>

#include "tests/support/redis_server.h"
#include "tests/workers/keeper/test_appliance.h"

namespace deja {
namespace {

TEST(Watermark, LeavesOutWhatCameAfterItsPassHadBegun) {
  RedisServer redis;
  SKIP_WITHOUT_REDIS();
  ASSERT_TRUE(redis.start());
  TestPlan plan;
  plan.redis_url = redis.url();
  plan.shard_count = 1;
  plan.worker_count = 1;
  KeeperAppliance appliance(plan);
  KeeperOptions options;
  options.redis.silence_ms = 9000;  // it waits for Redis for as long as the test lets it
  appliance.start_keeper(options);
  ASSERT_TRUE(appliance.recover());
  // bob's profile can't be written: whatever says that it was is wrong.
  ASSERT_EQ(redis.cli("set " + appliance.redis_key("bob") + " in-the-way"), "OK");
  ASSERT_EQ(redis.cli("client pause 100000 write"), "OK");
  appliance.view("ada");
  // Her profile has been sent; the answer waits. (The last command of a start may be one, too.)
  ASSERT_TRUE(eventually([&] {
    std::istringstream clients(redis.cli("client list"));
    for (std::string client; std::getline(clients, client);) {
      if (client.find("flags=b") != std::string::npos &&
          client.find("cmd=evalsha") != std::string::npos) {
        return true;
      }
    }
    return false;
  }));
  appliance.view("bob");
  ASSERT_EQ(redis.cli("client unpause"), "OK");
  ASSERT_TRUE(eventually([&] { return appliance.counter("deja_redis_errors_total") >= 2; }));
  EXPECT_EQ(redis.cli("hget 'deja:{0}:watermark' sequence"), "1");
  EXPECT_EQ(appliance.watermark(0), 1U);
  ASSERT_EQ(redis.cli("del " + appliance.redis_key("bob")), "1");
  EXPECT_TRUE(eventually([&] { return appliance.all_written(); }));
  EXPECT_EQ(appliance.stop_keeper(), "");
}

}  // namespace
}  // namespace deja
