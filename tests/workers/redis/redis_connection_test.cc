// Against a real redis-server of the test's own.
#include "workers/redis/redis_connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

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

TEST(RedisConnection, KeepsExchangesUnderWayAndReadsEachOnesRepliesInOrder) {
  SKIP_WITHOUT_REDIS();
  RedisServer redis;
  ASSERT_TRUE(redis.start());
  Result<RedisConnection> connection = connect_to(redis.url());
  ASSERT_TRUE(connection.ok());
  const std::string large(100'000, 'x');
  std::uint64_t asked = 0;
  std::uint64_t answered = 0;
  const auto finish = [&] {
    std::size_t next = 0;
    ASSERT_TRUE(connection
                    ->finish_exchange([&](std::size_t index, const ShortReply& reply) {
                      EXPECT_EQ(index, next++);
                      if (index % 3 == 0) {
                        EXPECT_EQ(reply.text, std::to_string(++answered));
                      }
                      EXPECT_EQ(reply.kind == RedisReply::Kind::kError, index % 3 == 1);
                    })
                    .ok());
    EXPECT_EQ(next, 30U);
  };
  for (int batch = 0; batch < 20; ++batch) {
    for (int at = 0; at < 10; ++at) {
      ++asked;
      connection->append({"INCR", "count"});
      connection->append({"NONSENSE"});
      connection->append({"SET", "key", large});
    }
    ASSERT_TRUE(connection->begin_exchange().ok());
    if (connection->under_way() == 3) finish();
  }
  while (connection->under_way() != 0) finish();
  EXPECT_EQ(answered, asked);
  EXPECT_EQ(connection->command({"GET", "count"})->number(), asked);
}

TEST(RedisConnection, BreaksWhereAPipelineIsAnsweredWithOtherThanShortReplies) {
  SKIP_WITHOUT_REDIS();
  RedisServer redis;
  ASSERT_TRUE(redis.start());
  Result<RedisConnection> connection = connect_to(redis.url());
  ASSERT_TRUE(connection.ok());
  connection->append({"MGET", "a", "b"});
  ASSERT_TRUE(connection->begin_exchange().ok());
  EXPECT_FALSE(connection->finish_exchange([](std::size_t, const ShortReply&) {}).ok());
  EXPECT_EQ(connection->under_way(), 0U);
  EXPECT_FALSE(connection->alive());
  EXPECT_FALSE(connection->command({"PING"}).ok());
}

/// Answers each connection with the same bytes, whatever is asked.
class Parrot {
 public:
  explicit Parrot(std::string answer) : answer_(std::move(answer)) {
    std::snprintf(address_.sun_path, sizeof address_.sun_path, "/tmp/deja-parrot-%d", getpid());
    unlink(address_.sun_path);
    listening_ = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(bind(listening_, reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0);
    EXPECT_EQ(listen(listening_, 1), 0);
    thread_ = std::thread([this] {
      const int line = accept(listening_, nullptr, nullptr);
      EXPECT_EQ(send(line, answer_.data(), answer_.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(answer_.size()));
      char bytes[4096];
      while (recv(line, bytes, sizeof bytes, 0) > 0) {
      }
      close(line);
    });
  }
  ~Parrot() {
    thread_.join();
    close(listening_);
    unlink(address_.sun_path);
  }
  [[nodiscard]] std::string url() const { return std::string("unix://") + address_.sun_path; }

 private:
  std::string answer_;
  sockaddr_un address_{AF_UNIX, {}};
  int listening_ = -1;
  std::thread thread_;
};

TEST(RedisConnection, BreaksWhereRepliesAreNotThoseToWhatWasAsked) {
  // A repeated reply in the fence's place; one too many behind the last fence.
  for (const char* answer : {"$7\r\nwritten\r\n$7\r\nwritten\r\n",
                             "$7\r\nwritten\r\n$6\r\ndeja 1\r\n$7\r\nwritten\r\n"}) {
    const Parrot parrot(answer);
    Result<RedisConnection> connection = connect_to(parrot.url());
    ASSERT_TRUE(connection.ok());
    connection->append({"SET", "key", "1"});
    ASSERT_TRUE(connection->begin_exchange().ok());
    const Status done = connection->finish_exchange([](std::size_t, const ShortReply&) {});
    ASSERT_FALSE(done.ok());
    EXPECT_NE(done.error().message().find("not those to what was asked"), std::string::npos);
    EXPECT_FALSE(connection->alive());
  }
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

  Result<RedisConnection> pipeline = connect_to(
      redis.url(), [&] { ++calls; }, RedisLimits{.connect_ms = 1000, .silence_ms = 50});
  ASSERT_TRUE(pipeline.ok());
  calls = 0;
  pipeline->append({"PING"});
  ASSERT_TRUE(pipeline->begin_exchange().ok());
  EXPECT_FALSE(pipeline->finish_exchange([](std::size_t, const ShortReply&) {}).ok());
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
