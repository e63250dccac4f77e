// What comes back from Redis at start, and what is refused: against a real redis-server.
#include <gtest/gtest.h>

#include "tests/support/redis_server.h"
#include "tests/workers/keeper/test_appliance.h"

namespace deja {
namespace {

class ReadBackTest : public testing::Test {
 protected:
  TestPlan plan() {
    TestPlan plan;
    plan.redis_url = redis_.url();
    return plan;
  }
  /// Lets an appliance write `count` users and end; what they were.
  std::map<std::string, TestProfile> live_once(int count) {
    std::map<std::string, TestProfile> profiles;
    KeeperAppliance appliance(plan());
    appliance.start_keeper();
    EXPECT_TRUE(appliance.recover());
    for (int at = 0; at < count; ++at) {
      const std::string user = "u" + std::to_string(at);
      for (int view = 0; view <= at % 3; ++view) appliance.view(user, "p" + std::to_string(at));
    }
    EXPECT_EQ(appliance.stop_keeper(), "");
    for (int at = 0; at < count; ++at) {
      const std::string user = "u" + std::to_string(at);
      profiles[user] = *appliance.read(user);
    }
    return profiles;
  }
  RedisServer redis_;
};

#define START_REDIS(...) \
  SKIP_WITHOUT_REDIS();  \
  ASSERT_TRUE(redis_.start(__VA_ARGS__))

TEST_F(ReadBackTest, GivesEveryProfileBackByteForByteAndGoesOnFromThere) {
  START_REDIS();
  const auto profiles = live_once(300);
  redis_.stop();
  ASSERT_TRUE(redis_.start());
  TestPlan other = plan();
  other.worker_count = 1;  // workers may be as many as they like
  KeeperAppliance appliance(other);
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  for (const auto& [user, profile] : profiles) {
    ASSERT_TRUE(appliance.read(user).has_value()) << user;
    EXPECT_EQ(*appliance.read(user), profile) << user;
  }
  EXPECT_EQ(appliance.counter("deja_profiles_restored_total"), 300U);
  EXPECT_EQ(appliance.counter("deja_profiles_translated_total"), 0U);
  std::uint64_t sequences = 0;
  for (std::uint32_t shard = 0; shard < 4; ++shard) sequences += appliance.sequence(shard);
  EXPECT_EQ(sequences, 600U);
  appliance.view("u0");
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  EXPECT_EQ(redis_.cli("hget " + appliance.redis_key("u0") + " views"), "2");
  EXPECT_EQ(redis_.cli("get deja:epoch"), "2");
  EXPECT_EQ(appliance.counter("deja_redis_written_total"), 1U);
}

TEST_F(ReadBackTest, GoesOnAboveTheWatermarkWhereNoProfileHasItsSequence) {
  START_REDIS();
  live_once(1);
  KeeperAppliance before(plan());
  const std::string shard = std::to_string(before.shard_of_user("u0"));
  redis_.cli("hset 'deja:{" + shard + "}:watermark' sequence 70");
  KeeperAppliance appliance(plan());
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  EXPECT_EQ(appliance.view("u0"), 71U);
}

TEST_F(ReadBackTest, GoesOnAboveTheProfilesWhereTheWatermarkIsGone) {
  START_REDIS();
  const auto profiles = live_once(1);
  KeeperAppliance appliance(plan());
  redis_.cli("del 'deja:{" + std::to_string(appliance.shard_of_user("u0")) + "}:watermark'");
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  EXPECT_EQ(appliance.view("u0"), profiles.at("u0").sequence + 1);
}

TEST_F(ReadBackTest, CarriesUnchangedFeaturesOverToAChangedCatalog) {
  START_REDIS();
  const auto profiles = live_once(20);
  TestPlan changed = plan();
  changed.features = {{"fresh", schema::FeatureType::COUNT, 9},
                      {"renamed", schema::FeatureType::LAST, 2},
                      {"views", schema::FeatureType::COUNT, 1}};
  {
    KeeperAppliance appliance(changed);
    appliance.start_keeper();
    ASSERT_TRUE(appliance.recover());
    EXPECT_EQ(appliance.counter("deja_profiles_translated_total"), 20U);
    const std::string before = profiles.at("u2").frame;
    const std::string after = appliance.read("u2")->frame;
    const auto& specs = appliance.features().specs();
    EXPECT_EQ(after.substr(0, specs[0].bytes), std::string(specs[0].bytes, '\0'));
    EXPECT_EQ(after.substr(specs[1].offset, specs[1].bytes),
              before.substr(specs[0].bytes, specs[1].bytes));
    EXPECT_EQ(after.substr(specs[2].offset, specs[2].bytes), before.substr(0, specs[2].bytes));
    EXPECT_EQ(appliance.read("u2")->sequence, profiles.at("u2").sequence);
    appliance.view("u2", "new");
    EXPECT_EQ(appliance.stop_keeper(), "");
    EXPECT_EQ(redis_.cli("hget " + appliance.redis_key("u2") + " views"), "4");
    EXPECT_EQ(redis_.cli("hget " + appliance.redis_key("u2") + " fresh"), "1");
    EXPECT_EQ(redis_.cli("hget " + appliance.redis_key("u2") + " plan"), "");
    // Who had no event is there in the new form too.
    EXPECT_EQ(redis_.cli("hget " + appliance.redis_key("u1") + " views"), "2");
    EXPECT_EQ(redis_.cli("hget " + appliance.redis_key("u1") + " fresh"), "0");
    EXPECT_EQ(redis_.cli("hget " + appliance.redis_key("u1") + " plan"), "");
    EXPECT_TRUE(appliance.all_written());
  }
  // And back: nobody's dropped feature returns.
  KeeperAppliance appliance(plan());
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  EXPECT_EQ(appliance.counter("deja_profiles_restored_total"), 20U);
  EXPECT_EQ(appliance.counter("deja_profiles_translated_total"), 20U);
  const auto& specs = appliance.features().specs();
  for (const char* user : {"u1", "u2"}) {
    const std::string frame = appliance.read(user)->frame;
    EXPECT_EQ(frame.substr(specs[2].offset, specs[2].bytes), std::string(specs[2].bytes, '\0'));
  }
  EXPECT_EQ(appliance.read("u1")->sequence, profiles.at("u1").sequence);
  EXPECT_EQ(appliance.read("u1")->frame.substr(0, specs[0].bytes),
            profiles.at("u1").frame.substr(0, specs[0].bytes));
}

TEST_F(ReadBackTest, SkipsCountsAndNamesWhatWasTamperedWith) {
  START_REDIS();
  const auto profiles = live_once(12);
  KeeperAppliance appliance(plan());
  const auto key = [&](int user) { return appliance.redis_key("u" + std::to_string(user)); };
  const std::string edit =
      "eval \"local i = redis.call('HGET', KEYS[1], 'image'); redis.call('HSET', KEYS[1], "
      "'image', ";
  redis_.cli(edit + "string.sub(i, 1, -2))\" 1 " + key(0));         // truncated
  redis_.cli(edit + "string.sub(i, 1, 20))\" 1 " + key(1));         // truncated
  redis_.cli(edit + "string.sub(i, 1, -2) .. '~')\" 1 " + key(2));  // damaged
  redis_.cli("hset " + key(3) + " image " + std::string(100, 'g'));
  redis_.cli("hdel " + key(4) + " image");
  redis_.cli(
      "eval \"redis.call('HSET', KEYS[1], 'image', redis.call('HGET', KEYS[2], 'image'))\" 2 " +
      key(5) + " " + key(6));  // wrong key
  redis_.cli("set 'deja:{0}:user:text' x");
  redis_.cli("set 'deja:{zero}:user:x' x");
  redis_.cli("hset 'deja:{0}:nobody:x' image x");
  const std::string wrong = std::to_string((appliance.shard_of_user("u7") + 1) % 4);
  redis_.cli("rename " + key(7) + " 'deja:{" + wrong + "}:user:u7'");
  appliance.start_keeper();
  ASSERT_TRUE(appliance.recover());
  const auto refused = [&](const std::string& reason) {
    return appliance.counter("deja_profiles_refused_total{reason=\"" + reason + "\"}");
  };
  EXPECT_EQ(refused("truncated"), 2U);
  EXPECT_EQ(refused("damaged"), 1U);
  EXPECT_EQ(refused("unknown_format"), 1U);
  EXPECT_EQ(refused("no_image"), 2U);
  EXPECT_EQ(refused("wrong_key"), 1U);
  EXPECT_EQ(refused("wrong_shard"), 1U);
  EXPECT_EQ(refused("unknown_name"), 2U);
  EXPECT_EQ(appliance.counter("deja_profiles_restored_total"), 5U);
  EXPECT_TRUE(appliance.has_error("a stored profile was not restored: damaged"));
  EXPECT_FALSE(appliance.has_error("u2"));  // nobody's key
  for (int user : {6, 8, 9, 10, 11}) {
    const std::string name = "u" + std::to_string(user);
    ASSERT_TRUE(appliance.read(name).has_value());
    EXPECT_EQ(*appliance.read(name), profiles.at(name));
  }
  for (int user : {0, 1, 2, 3, 4, 5, 7}) {
    EXPECT_FALSE(appliance.read("u" + std::to_string(user)).has_value());
  }
}

TEST_F(ReadBackTest, RefusesImagesWhoseCatalogIsGoneOrTamperedWith) {
  START_REDIS();
  TestPlan changed = plan();
  changed.features.pop_back();
  {
    KeeperAppliance appliance(changed);  // leaves its own catalog there
    appliance.start_keeper();
    ASSERT_TRUE(appliance.recover());
    EXPECT_EQ(appliance.stop_keeper(), "");
  }
  const std::string other = redis_.cli("--scan --pattern 'deja:catalog:*'");
  live_once(3);
  const std::string catalog = redis_.cli("--scan --pattern 'deja:catalog:*' | grep -v " + other);
  for (const std::string& edit :
       {"eval \"redis.call('SET', KEYS[1], redis.call('GET', KEYS[2]))\" 2 " + catalog + " " +
            other,
        "set " + catalog + " garbage", "del " + catalog}) {
    redis_.cli(edit);
    KeeperAppliance appliance(changed);
    appliance.start_keeper();
    ASSERT_TRUE(appliance.recover());
    EXPECT_EQ(appliance.counter("deja_profiles_refused_total{reason=\"unknown_catalog\"}"), 3U);
    EXPECT_EQ(appliance.stop_keeper(), "");
  }
}

TEST_F(ReadBackTest, RefusesTheDatabaseOfAnotherAppliance) {
  START_REDIS();
  live_once(1);
  TestPlan other = plan();
  other.appliance = "garage";
  KeeperAppliance appliance(other);
  appliance.start_keeper();
  const std::string said = appliance.wait_for_keeper();
  EXPECT_NE(said.find("holds the profiles of the appliance 'shop', not of 'garage'"),
            std::string::npos)
      << said;
}

TEST_F(ReadBackTest, RefusesARedisThatMayEvict) {
  START_REDIS({"--maxmemory-policy", "allkeys-lru"});
  KeeperAppliance appliance(plan());
  appliance.start_keeper();
  EXPECT_NE(appliance.wait_for_keeper().find("maxmemory-policy allkeys-lru"), std::string::npos);
}

TEST_F(ReadBackTest, GoesOnWhereRedisDoesNotTellItsPolicyAndSaysSo) {
  START_REDIS({"--rename-command", "CONFIG", ""});
  KeeperAppliance appliance(plan());
  appliance.start_keeper();
  EXPECT_TRUE(appliance.recover());
  EXPECT_TRUE(appliance.has_error("does not tell its maxmemory-policy"));
}

TEST_F(ReadBackTest, EndsWithASentenceWhenRedisStaysAway) {
  TestPlan nowhere;
  nowhere.redis_url = "unix:///nowhere/redis.sock";
  KeeperAppliance appliance(nowhere);
  KeeperOptions options;
  options.redis_wait_ms = 100;
  appliance.start_keeper(options);
  const std::string said = appliance.wait_for_keeper();
  EXPECT_NE(said.find("Redis can't be used"), std::string::npos) << said;
  EXPECT_NE(said.find("would forget people"), std::string::npos);
}

TEST_F(ReadBackTest, StartsOnceRedisIsThere) {
  SKIP_WITHOUT_REDIS();
  KeeperAppliance appliance(plan());
  appliance.start_keeper();
  ASSERT_TRUE(eventually([&] { return appliance.counter("deja_redis_errors_total") > 0; }));
  ASSERT_TRUE(redis_.start());
  EXPECT_TRUE(appliance.recover());
}

TEST_F(ReadBackTest, ANextKeeperInALivingSegmentGoesOnWhereTheLastWas) {
  START_REDIS();
  KeeperAppliance appliance(plan());
  KeeperOptions options;
  options.drain_bound_ms = 0;
  appliance.start_keeper(options);
  ASSERT_TRUE(appliance.recover());
  appliance.view("ada");
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  // A keeper that drains and dies before it has written: its touched set is gone.
  redis_.stop();
  appliance.view("ada");
  appliance.view("bob");
  ASSERT_TRUE(eventually(
      [&] { return appliance.counter("deja_log_records_total{kind=\"applied\"}") == 3; }));
  EXPECT_EQ(appliance.stop_keeper(), "");  // the journal has them
  EXPECT_FALSE(appliance.all_written());
  ASSERT_TRUE(redis_.start());
  appliance.view("cyd");
  appliance.start_keeper();
  ASSERT_TRUE(eventually([&] { return appliance.all_written(); }));
  EXPECT_EQ(redis_.cli("hget " + appliance.redis_key("ada") + " views"), "2");
  EXPECT_EQ(redis_.cli("hget " + appliance.redis_key("bob") + " views"), "1");
  EXPECT_EQ(redis_.cli("hget " + appliance.redis_key("cyd") + " views"), "1");
  EXPECT_EQ(redis_.cli("get deja:epoch"), "2");
  EXPECT_EQ(appliance.counter("deja_profiles_restored_total"), 0U);
}

}  // namespace
}  // namespace deja
