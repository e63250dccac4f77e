// Against a real redis-server of the test's own.
#include "workers/redis/redis_connection.h"

#include <gtest/gtest.h>

#include "tests/support/redis_server.h"

namespace deja {
namespace {

Result<RedisConnection> connect_to(const std::string& url, RedisConnection::WhileWaiting hook = {},
                                   RedisLimits limits = {}) {
  return RedisConnection::connect(*RedisUrl::parse(url), limits, std::move(hook));
}

TEST(RedisConnection, AnswersOneCommandWithEachKindOfReply) {
  SKIP_WITHOUT_REDIS();
  RedisServer redis;
  ASSERT_TRUE(redis.start());
  Result<RedisConnection> connection = connect_to(redis.url());
  ASSERT_TRUE(connection.ok()) << connection.error().message();
  const std::string binary("\0\r\n$5\xff", 6);
  EXPECT_EQ(connection->command({"SET", "key", binary})->text(), "OK");
  EXPECT_EQ(connection->command({"GET", "key"})->text(), binary);
  EXPECT_EQ(connection->command({"GET", "none"})->kind(), RedisReply::Kind::kNil);
  EXPECT_EQ(connection->command({"INCR", "count"})->number(), 1U);
  EXPECT_EQ(connection->command({"GET", "count"})->number(), 1U);
  EXPECT_EQ(connection->command({"GET", "key"})->number(), std::nullopt);
  const Result<RedisReply> several = connection->command({"MGET", "count", "none"});
  ASSERT_EQ(several->size(), 2U);
  EXPECT_EQ(several->element(0).text(), "1");
  EXPECT_EQ(several->element(1).kind(), RedisReply::Kind::kNil);
  const Result<RedisReply> wrong = connection->command({"HGET", "key", "field"});
  EXPECT_TRUE(wrong->is_error());
  EXPECT_EQ(wrong->error_code(), "WRONGTYPE");
}

TEST(RedisConnection, ReadsEveryReplyOfAPipelineLargerThanTheSocketHolds) {
  SKIP_WITHOUT_REDIS();
  RedisServer redis;
  ASSERT_TRUE(redis.start());
  Result<RedisConnection> connection = connect_to(redis.url());
  ASSERT_TRUE(connection.ok());
  const std::string large(100'000, 'x');
  for (int at = 0; at < 100; ++at) {
    connection->append({"SET", "key", large + std::to_string(at)});
    connection->append({"GET", "key"});
    connection->append({"NONSENSE"});
  }
  std::size_t count = 0;
  const Status done = connection->exchange([&](std::size_t index, RedisReply reply) {
    EXPECT_EQ(index, count++);
    if (index % 3 == 1) {
      EXPECT_EQ(reply.text(), large + std::to_string(index / 3));
    }
    EXPECT_EQ(reply.is_error(), index % 3 == 2);
  });
  EXPECT_TRUE(done.ok());
  EXPECT_EQ(count, 300U);
}

TEST(RedisConnection, CallsItsOwnerWhileItWaitsAndGivesUpAtItsLimit) {
  SKIP_WITHOUT_REDIS();
  RedisServer redis;
  ASSERT_TRUE(redis.start());
  int calls = 0;
  Result<RedisConnection> connection = connect_to(
      redis.url(), [&] { ++calls; }, RedisLimits{.connect_ms = 1000, .silence_ms = 50});
  ASSERT_TRUE(connection.ok());
  redis.pause();
  EXPECT_FALSE(connection->command({"PING"}).ok());
  EXPECT_GT(calls, 2);
  redis.resume();
}

TEST(RedisConnection, SaysWhyItCannotConnect) {
  const Result<RedisConnection> nowhere = connect_to("unix:///nowhere/redis.sock");
  ASSERT_FALSE(nowhere.ok());
  EXPECT_NE(nowhere.error().message().find("No such file"), std::string::npos);
  EXPECT_FALSE(connect_to("redis://127.0.0.1:1").ok());
}

TEST(RedisConnection, TellsAuthenticationFromItsRefusalAndSelectsTheDatabase) {
  SKIP_WITHOUT_REDIS();
  RedisServer redis;
  ASSERT_TRUE(redis.start({"--requirepass", "secret"}));
  Result<RedisConnection> without = connect_to(redis.url());
  EXPECT_TRUE(!without.ok() || without->command({"PING"})->error_code() == "NOAUTH");
  EXPECT_FALSE(connect_to("unix://:wrong@" + redis.socket()).ok());
  Result<RedisConnection> right = connect_to("unix://:secret@" + redis.socket() + "?db=3");
  ASSERT_TRUE(right.ok()) << right.error().message();
  EXPECT_EQ(right->command({"SET", "here", "1"})->text(), "OK");
  EXPECT_EQ(redis.cli("-a secret --no-auth-warning -n 3 get here"), "1");
}

TEST(RedisConnection, SaysThatRedisClosedIt) {
  SKIP_WITHOUT_REDIS();
  RedisServer redis;
  ASSERT_TRUE(redis.start());
  Result<RedisConnection> connection = connect_to(redis.url());
  ASSERT_TRUE(connection.ok());
  redis.stop();
  EXPECT_FALSE(connection->command({"PING"}).ok());
  EXPECT_FALSE(connection->command({"PING"}).ok());
}

}  // namespace
}  // namespace deja
