// Lives of one appliance whose count of shards changes in between: what was viewed stands in a
// ledger outside of it, and all that Redis has is compared with that, names included. Test code.
#pragma once

#include <algorithm>
#include <map>
#include <sstream>
#include <string>

#include "tests/support/redis_server.h"
#include "tests/workers/keeper/test_appliance.h"

namespace deja {

class ShardLives : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_REDIS();
    ASSERT_TRUE(redis_.start());
    char path[] = "/tmp/deja-durable-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    directory_ = path;
  }
  void TearDown() override {
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }
  TestPlan plan(std::uint32_t shard_count, std::int64_t loss_window_us = 60'000'000) {
    TestPlan plan;
    plan.redis_url = redis_.url();
    plan.durability_directory = directory_;
    plan.shard_count = shard_count;
    plan.worker_count = std::min(2U, shard_count);
    plan.loss_window_us = loss_window_us;
    return plan;
  }
  void view(KeeperAppliance& appliance, const std::string& user) {
    appliance.view(user);
    ++views_[user];
  }
  /// So many views, of people who were here before and of new ones.
  void view_some(KeeperAppliance& appliance, int count) {
    for (int at = 0; at < count; ++at) view(appliance, "u" + std::to_string(viewed_++ * 7 % 400));
  }
  /// Views of which Redis has only the first half, and the journal everything.
  void live_and_lose_redis(const TestPlan& plan, int count) {
    KeeperAppliance appliance(plan);
    KeeperOptions options;
    options.drain_bound_ms = 50;  // it need not wait for Redis to come again
    appliance.start_keeper(options);
    ASSERT_TRUE(appliance.recover());
    view_some(appliance, count / 2);
    ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
    expect_all_stored(appliance);
    redis_.stop();
    view_some(appliance, count - count / 2);
    ASSERT_TRUE(eventually([&] {
      return appliance.counter("deja_log_records_total{kind=\"applied\"}") ==
             static_cast<std::uint64_t>(count);
    }));
    ASSERT_EQ(appliance.stop_keeper(), "");
    ASSERT_TRUE(redis_.start());
  }
  /// Everybody lies once, under his name of today, with all his views.
  void expect_all_stored(const KeeperAppliance& appliance) {
    std::map<std::string, int> expected;
    for (const auto& [user, count] : views_) {
      const std::string quoted = appliance.redis_key(user);
      expected[quoted.substr(1, quoted.size() - 2)] = count;
    }
    std::istringstream lines(redis_.cli(
        "eval \"local all = {} for _, key in ipairs(redis.call('KEYS', 'deja:{*}:user:*')) do "
        "all[#all + 1] = key .. ' ' .. redis.call('HGET', key, 'views') end return all\" 0"));
    std::map<std::string, int> stored;
    for (std::string key; lines >> key;) lines >> stored[key];
    EXPECT_EQ(stored, expected);
  }
  /// And in the table, where renderers read.
  void expect_all_in_memory(KeeperAppliance& appliance) {
    for (const auto& [user, count] : views_) {
      EXPECT_TRUE(appliance.read(user).has_value()) << user << " of " << count << " views";
    }
  }

  RedisServer redis_;
  std::string directory_;
  std::map<std::string, int> views_;
  int viewed_ = 0;
};

}  // namespace deja
