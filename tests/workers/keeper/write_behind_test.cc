// What reaches Redis, what does not, and what the watermarks then say: against a real redis-server.
#include <gtest/gtest.h>

#include "tests/support/redis_server.h"
#include "tests/workers/keeper/test_appliance.h"
#include "workers/keeper/image.h"

namespace deja {
namespace {

class WriteBehindTest : public testing::Test {
 protected:
  /// An appliance over the running Redis, recovered and serving.
  std::unique_ptr<KeeperAppliance> serve(const KeeperOptions& options = {}) {
    TestPlan plan;
    plan.redis_url = redis_.url();
    auto appliance = std::make_unique<KeeperAppliance>(plan);
    appliance->start_keeper(options);
    EXPECT_TRUE(appliance->recover());
    return appliance;
  }
  [[nodiscard]] std::string stored_watermark(const KeeperAppliance&, std::uint32_t shard) const {
    return redis_.cli("hget 'deja:{" + std::to_string(shard) + "}:watermark' sequence");
  }

  RedisServer redis_;
};

#define START_REDIS(...) \
  SKIP_WITHOUT_REDIS();  \
  ASSERT_TRUE(redis_.start(__VA_ARGS__))

TEST_F(WriteBehindTest, WritesFieldsThatAPersonReadsBesideTheExactImage) {
  START_REDIS();
  auto appliance = serve();
  appliance->view("ada", "p1");
  appliance->view("ada", "shoes");
  ASSERT_TRUE(eventually([&] { return appliance->all_written(); }));
  const std::string key = appliance->redis_key("ada");
  EXPECT_EQ(redis_.cli("hget " + key + " views"), "2");
  EXPECT_EQ(redis_.cli("hget " + key + " plan"), "shoes");
  EXPECT_EQ(redis_.cli("hget " + key + " feature:image"), "2");
  EXPECT_EQ(redis_.cli("hget " + key + " sequence"), "2");
  EXPECT_EQ(redis_.cli("hget " + key + " epoch"), "1");
  EXPECT_EQ(redis_.cli("hget " + key + " updated"), "2023-11-14T22:13:20.000002Z");
  EXPECT_TRUE(redis_.cli("hget " + key + " as_of").starts_with("20"));

  Result<RedisConnection> connection =
      RedisConnection::connect(*RedisUrl::parse(redis_.url()), {}, {});
  ASSERT_TRUE(connection.ok());
  const Result<RedisReply> reply =
      connection->command({"HGET", key.substr(1, key.size() - 2), "image"});
  Image image;
  ASSERT_EQ(decode_image(reply->text(), KeeperAppliance::user_key("ada"), image),
            ImageFault::kNone);
  const TestProfile profile = *appliance->read("ada");
  EXPECT_EQ(image.frame, profile.frame);
  EXPECT_EQ(image.header.sequence, profile.sequence);
  EXPECT_EQ(image.header.updated_us, profile.updated_us);
  EXPECT_EQ(image.header.late, profile.late);
  EXPECT_EQ(appliance->stop_keeper(), "");
}

TEST_F(WriteBehindTest, RefusesInRedisWhatIsOlderOrRepeated) {
  START_REDIS();
  RedisStore store(*RedisUrl::parse(redis_.url()), {}, {"shop", 4, 1, "catalog"}, {});
  std::uint64_t epoch = 0;
  std::string note;
  ASSERT_FALSE(store.open(epoch, true, note).has_value());
  EXPECT_EQ(epoch, 1U);
  const auto write = [&](std::uint64_t with_epoch, std::uint64_t sequence) {
    const std::string value = std::to_string(with_epoch) + "/" + std::to_string(sequence);
    store.append_write("deja:{0}:user:x", with_epoch, sequence, "c",
                       {"value", value, "catalog", "c"});
    WriteOutcome outcome = WriteOutcome::kError;
    EXPECT_TRUE(store.connection()
                    .exchange([&](std::size_t, const RedisReply& reply) {
                      outcome = RedisStore::outcome_of({reply.kind(), reply.text()});
                    })
                    .ok());
    return outcome;
  };
  EXPECT_EQ(write(5, 10), WriteOutcome::kWritten);
  EXPECT_EQ(write(5, 10), WriteOutcome::kOlder);
  EXPECT_EQ(write(5, 9), WriteOutcome::kOlder);
  EXPECT_EQ(write(4, 11), WriteOutcome::kFenced);
  EXPECT_EQ(redis_.cli("hget 'deja:{0}:user:x' value"), "5/10");
  EXPECT_EQ(write(5, 100), WriteOutcome::kWritten);  // compared as numbers, not as texts
  EXPECT_EQ(write(6, 1), WriteOutcome::kWritten);
  EXPECT_EQ(redis_.cli("hget 'deja:{0}:user:x' value"), "6/1");
}

TEST_F(WriteBehindTest, TakesAwayTheFieldsOfAFormerCatalog) {
  START_REDIS();
  RedisStore store(*RedisUrl::parse(redis_.url()), {}, {"shop", 4, 1, "catalog"}, {});
  std::uint64_t epoch = 0;
  std::string note;
  ASSERT_FALSE(store.open(epoch, true, note).has_value());
  store.append_write("deja:{0}:user:x", 1, 1, "a", {"old", "1", "both", "1", "catalog", "a"});
  store.append_write("deja:{0}:user:x", 1, 2, "b", {"new", "2", "both", "2", "catalog", "b"});
  ASSERT_TRUE(store.connection().exchange([](std::size_t, const RedisReply&) {}).ok());
  EXPECT_EQ(redis_.cli("hget 'deja:{0}:user:x' old"), "");
  EXPECT_EQ(redis_.cli("hget 'deja:{0}:user:x' both"), "2");
  EXPECT_EQ(redis_.cli("hlen 'deja:{0}:user:x'"), "5");
}

TEST_F(WriteBehindTest, LeavesTheWatermarkWhereRedisHasNoMemoryForTheProfiles) {
  START_REDIS();
  auto appliance = serve();
  const std::uint32_t shard = appliance->shard_of_user("ada");
  appliance->view("ada");
  ASSERT_TRUE(eventually([&] { return appliance->all_written(); }));
  ASSERT_EQ(redis_.cli("config set maxmemory 1"), "OK");
  appliance->view("ada");
  ASSERT_TRUE(eventually([&] { return appliance->counter("deja_redis_errors_total") >= 2; }));
  EXPECT_TRUE(appliance->has_error("Redis refuses a write: OOM"));
  EXPECT_EQ(stored_watermark(*appliance, shard), "1");
  EXPECT_EQ(appliance->watermark(shard), 1U);
  EXPECT_EQ(redis_.cli("hget " + appliance->redis_key("ada") + " sequence"), "1");
  ASSERT_EQ(redis_.cli("config set maxmemory 0"), "OK");
  ASSERT_TRUE(eventually([&] { return appliance->all_written(); }));
  EXPECT_EQ(stored_watermark(*appliance, shard), "2");
  EXPECT_EQ(redis_.cli("hget " + appliance->redis_key("ada") + " views"), "2");
}

TEST_F(WriteBehindTest, LeavesTheWatermarkOfTheShardOfOneProfileThatCantBeWritten) {
  START_REDIS();
  auto appliance = serve();
  const std::uint32_t shard = appliance->shard_of_user("ada");
  ASSERT_EQ(redis_.cli("set " + appliance->redis_key("ada") + " in-the-way"), "OK");
  appliance->view("ada");
  ASSERT_TRUE(eventually([&] { return appliance->has_error("WRONGTYPE"); }));
  EXPECT_EQ(appliance->watermark(shard), 0U);
  EXPECT_EQ(stored_watermark(*appliance, shard), "");
  ASSERT_EQ(redis_.cli("del " + appliance->redis_key("ada")), "1");
  EXPECT_TRUE(eventually([&] { return appliance->all_written(); }));
}

TEST_F(WriteBehindTest, SendsNoWatermarkBehindABatchThatIsNotAnsweredYet) {
  START_REDIS();
  KeeperOptions options;
  options.write_behind.batch_count_max = 2;
  auto appliance = serve(options);
  const std::uint32_t shard = appliance->shard_of_user("ada");
  std::vector<std::string> others;
  for (std::string other = "x"; others.size() < 3; other += "x") {
    if (appliance->shard_of_user(other) == shard) others.push_back(other);
  }
  ASSERT_EQ(redis_.cli("set " + appliance->redis_key("ada") + " in-the-way"), "OK");
  // Whole batches of this shard, whose end is found when they are on their way.
  appliance->view("ada");
  for (int pass = 0; pass < 5; ++pass) {
    for (const std::string& other : others) appliance->view(other);
    const std::uint64_t errors = appliance->counter("deja_redis_errors_total");
    ASSERT_TRUE(
        eventually([&] { return appliance->counter("deja_redis_errors_total") > errors + 1; }));
    EXPECT_EQ(appliance->watermark(shard), 0U);
    EXPECT_EQ(stored_watermark(*appliance, shard), "");
  }
  ASSERT_EQ(redis_.cli("del " + appliance->redis_key("ada")), "1");
  EXPECT_TRUE(eventually([&] { return appliance->all_written(); }));
}

TEST_F(WriteBehindTest, TouchesAgainWhatAnAbandonedPassHadNotReached) {
  START_REDIS();
  KeeperOptions options;
  options.write_behind.batch_count_max = 1;
  auto appliance = serve(options);
  ASSERT_EQ(redis_.cli("set " + appliance->redis_key("u0") + " in-the-way"), "OK");
  redis_.pause();  // so that one pass has them all
  for (int at = 0; at < 40; ++at) appliance->view("u" + std::to_string(at));
  redis_.resume();
  ASSERT_TRUE(eventually([&] { return appliance->has_error("WRONGTYPE"); }));
  ASSERT_EQ(redis_.cli("del " + appliance->redis_key("u0")), "1");
  EXPECT_TRUE(eventually([&] { return appliance->all_written(); }));
  EXPECT_EQ(redis_.cli("--scan --pattern 'deja:{*}:user:*' | wc -l"), "40");
}

TEST_F(WriteBehindTest, LoadsTheGuardAgainWhenRedisForgotIt) {
  START_REDIS();
  auto appliance = serve();
  ASSERT_EQ(redis_.cli("script flush"), "OK");
  appliance->view("ada");
  EXPECT_TRUE(eventually([&] { return appliance->all_written(); }));
  EXPECT_EQ(appliance->counter("deja_redis_errors_total"), 0U);
}

TEST_F(WriteBehindTest, CatchesUpAfterRedisWasKilledAndStartedAgain) {
  START_REDIS();
  auto appliance = serve();
  for (int at = 0; at < 50; ++at) appliance->view("u" + std::to_string(at));
  ASSERT_TRUE(eventually([&] { return appliance->all_written(); }));
  redis_.stop();
  // More than the logs hold: they are drained while Redis is away.
  for (int at = 0; at < 2000; ++at) appliance->view("u" + std::to_string(at % 100));
  ASSERT_TRUE(eventually([&] { return appliance->counter("deja_redis_connected") == 0; }));
  ASSERT_TRUE(redis_.start());
  ASSERT_TRUE(eventually([&] { return appliance->all_written(); }));
  EXPECT_GE(appliance->counter("deja_redis_reconnects_total"), 1U);
  EXPECT_EQ(appliance->counter("deja_redis_connected"), 1U);
  for (int at = 0; at < 100; ++at) {
    const std::string user = "u" + std::to_string(at);
    EXPECT_EQ(redis_.cli("hget " + appliance->redis_key(user) + " views"), at < 50 ? "21" : "20");
  }
}

TEST_F(WriteBehindTest, EachShardOfAPassIsTimedWhereAnEventsAgeIsKnown) {
  START_REDIS();
  auto appliance = serve();
  EXPECT_EQ(appliance->timed("applied_flushed"), 0U);
  appliance->view("ada");
  ASSERT_TRUE(eventually([&] { return appliance->all_written(); }));
  EXPECT_EQ(appliance->timed("applied_flushed"), 1U);
  for (int at = 0; at < 50; ++at) appliance->view("u" + std::to_string(at));
  ASSERT_TRUE(eventually([&] { return appliance->all_written(); }));
  const std::uint64_t timed = appliance->timed("applied_flushed");
  EXPECT_GE(timed, 1U + appliance->segment().geometry().shard_count);
  EXPECT_LE(timed, 1U + 50);
  // What Redis lost is written again; nobody knows any more when it was applied.
  ASSERT_EQ(redis_.cli("flushall"), "OK");
  ASSERT_EQ(redis_.cli("client kill type normal skipme yes"), "1");
  ASSERT_TRUE(eventually([&] { return redis_.cli("dbsize") == "59"; }));  // 51 + 4 + 4
  EXPECT_EQ(appliance->timed("applied_flushed"), timed);
}

TEST_F(WriteBehindTest, WritesAgainWhatRedisHasLost) {
  START_REDIS();
  auto appliance = serve();
  for (int at = 0; at < 50; ++at) appliance->view("u" + std::to_string(at));
  ASSERT_TRUE(eventually([&] { return appliance->all_written(); }));
  ASSERT_EQ(redis_.cli("flushall"), "OK");
  ASSERT_EQ(redis_.cli("client kill type normal skipme yes"), "1");
  ASSERT_TRUE(eventually([&] { return redis_.cli("dbsize") == "58"; }))  // 50 + 4 + 4
      << redis_.cli("dbsize");
  EXPECT_TRUE(appliance->has_error("Redis has lost what it had confirmed"));
  EXPECT_EQ(redis_.cli("get deja:epoch"), "1");
}

TEST_F(WriteBehindTest, WritesAgainWhatWasUnderWayWhenRedisDied) {
  START_REDIS();
  KeeperOptions options;
  options.write_behind.batch_count_max = 4;  // so that a pass is more than a batch
  auto appliance = serve(options);
  redis_.pause();
  for (int at = 0; at < 50; ++at) appliance->view("u" + std::to_string(at));
  ASSERT_TRUE(eventually([&] { return appliance->counter("deja_redis_connected") == 0; }));
  redis_.stop();  // whatever it had been sent, it has not done
  ASSERT_TRUE(redis_.start());
  ASSERT_TRUE(eventually([&] { return appliance->all_written(); }));
  EXPECT_EQ(redis_.cli("--scan --pattern 'deja:{*}:user:*' | wc -l"), "50");
}

TEST_F(WriteBehindTest, DrainsTheLogsWhileRedisHangs) {
  START_REDIS();
  auto appliance = serve();
  redis_.pause();
  for (int at = 0; at < 2000; ++at) appliance->view("u" + std::to_string(at % 100));
  redis_.resume();
  EXPECT_TRUE(eventually([&] { return appliance->all_written(); }));
}

TEST_F(WriteBehindTest, LooksAtTheWholeIndexWhereTooManyAreTouched) {
  START_REDIS();
  KeeperOptions options;
  options.touched_max = 10;
  auto appliance = serve(options);
  redis_.pause();
  for (int at = 0; at < 200; ++at) appliance->view("u" + std::to_string(at));
  redis_.resume();
  ASSERT_TRUE(eventually([&] { return appliance->all_written(); }));
  EXPECT_EQ(redis_.cli("--scan --pattern 'deja:{*}:user:*' | wc -l"), "200");
  EXPECT_GT(appliance->counter("deja_keeper_shard_walks_total"), 0U);
  EXPECT_EQ(appliance->stop_keeper(), "");
}

TEST_F(WriteBehindTest, WaitsForAProfileThatIsLoggedAndNotYetPublished) {
  START_REDIS();
  auto appliance = serve();
  const std::uint32_t shard = appliance->shard_of_user("ada");
  const std::uint64_t sequence = appliance->log("ada");
  ASSERT_TRUE(eventually(
      [&] { return appliance->counter("deja_log_records_total{kind=\"applied\"}") == 1; }));
  EXPECT_EQ(appliance->watermark(shard), 0U);
  appliance->publish("ada", sequence);
  ASSERT_TRUE(eventually(
      [&] { return redis_.cli("hget " + appliance->redis_key("ada") + " sequence") == "1"; }));
  EXPECT_EQ(appliance->watermark(shard), 0U);  // not counted yet
  appliance->count("ada", sequence);
  EXPECT_TRUE(eventually([&] { return appliance->all_written(); }));
}

TEST_F(WriteBehindTest, LooksAgainAtAKnownProfileWhoseNextVersionIsNotYetPublished) {
  START_REDIS();
  auto appliance = serve();
  appliance->view("ada");
  ASSERT_TRUE(eventually([&] { return appliance->all_written(); }));
  const std::uint64_t sequence = appliance->log("ada");
  // The old version is sent again, and Redis has it.
  ASSERT_TRUE(eventually([&] { return appliance->counter("deja_redis_older_total") > 0; }));
  appliance->publish("ada", sequence);
  EXPECT_TRUE(eventually(
      [&] { return redis_.cli("hget " + appliance->redis_key("ada") + " sequence") == "2"; }));
  appliance->count("ada", sequence);
  EXPECT_TRUE(eventually([&] { return appliance->all_written(); }));
}

TEST_F(WriteBehindTest, HoldsBackAPartialProfileAndItsShardsWatermark) {
  START_REDIS();
  auto appliance = serve();
  const std::uint32_t shard = appliance->shard_of_user("ada");
  const std::uint64_t sequence = appliance->log("ada");
  appliance->publish("ada", sequence, "p1", kFlagPartial);
  appliance->count("ada", sequence);
  std::string other = "x";
  while (appliance->shard_of_user(other) == shard) other += "x";
  for (int view = 1; view <= 3; ++view) {  // passes go by
    appliance->view(other);
    ASSERT_TRUE(eventually([&] {
      return appliance->watermark(appliance->shard_of_user(other)) ==
             static_cast<std::uint64_t>(view);
    }));
  }
  EXPECT_EQ(appliance->watermark(shard), 0U);
  EXPECT_EQ(redis_.cli("exists " + appliance->redis_key("ada")), "0");
  appliance->publish("ada", sequence);  // its stored part has come
  EXPECT_TRUE(eventually([&] { return appliance->all_written(); }));
}

TEST_F(WriteBehindTest, NamesABrokenLogRecordAndLooksAtItsShards) {
  START_REDIS();
  auto appliance = serve();
  const std::string user = "ada";
  const std::uint32_t shard = appliance->shard_of_user(user);
  const std::uint32_t worker = shard % 2;
  // Not its event's size, no event, another worker's shard, no kind, no sequence, another type.
  appliance->append_log(shard, 1, "1234567");
  appliance->append_log(shard, 1, std::string(64, '\xff'));
  appliance->append_log(shard, 1, KeeperAppliance::event_words(user, shard + 1));
  appliance->append_log(shard, 1, "", static_cast<LogKind>(9));
  appliance->append_log(shard, 0, KeeperAppliance::event_words(user, shard));
  appliance->append_raw(worker, "short", kLogRecord);
  appliance->append_raw(worker, "12345678", 77);
  appliance->publish(user, 1);
  appliance->count(user, 1);
  ASSERT_TRUE(eventually([&] { return appliance->all_written(); }));
  EXPECT_EQ(redis_.cli("hget " + appliance->redis_key(user) + " views"), "1");
  EXPECT_EQ(appliance->counter("deja_log_records_total{kind=\"broken\"}"), 7U);
  EXPECT_TRUE(appliance->has_error("log-" + std::to_string(worker) + ": an event that is not"));
  EXPECT_EQ(appliance->stop_keeper(), "");
}

TEST_F(WriteBehindTest, WritesEverythingBeforeItEnds) {
  START_REDIS();
  auto appliance = serve();
  for (int at = 0; at < 500; ++at) appliance->view("u" + std::to_string(at));
  EXPECT_EQ(appliance->stop_keeper(), "");
  EXPECT_TRUE(appliance->all_written());
  EXPECT_EQ(redis_.cli("--scan --pattern 'deja:{*}:user:*' | wc -l"), "500");
}

TEST_F(WriteBehindTest, AStopWithoutRedisLeavesToTheJournalWhatItCouldNotWrite) {
  START_REDIS();
  KeeperOptions options;
  options.drain_bound_ms = 50;
  auto appliance = serve(options);
  redis_.stop();
  appliance->view("ada");
  appliance->view("ada");
  testing::internal::CaptureStderr();
  EXPECT_EQ(appliance->stop_keeper(), "");
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("2 events in 1 shards are not in Redis; the journal has them"),
            std::string::npos)
      << said;
  EXPECT_FALSE(appliance->all_written());
}

}  // namespace
}  // namespace deja
