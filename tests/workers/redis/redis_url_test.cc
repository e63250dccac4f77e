#include "workers/redis/redis_url.h"

#include <gtest/gtest.h>

namespace deja {
namespace {

RedisUrl parsed(std::string_view text) {
  Result<RedisUrl> url = RedisUrl::parse(text);
  EXPECT_TRUE(url.ok()) << text;
  return url ? *url : RedisUrl{};
}

TEST(RedisUrl, HasHostPortAndDatabaseWithTheUsualDefaults) {
  EXPECT_EQ(parsed("redis://cache").host, "cache");
  EXPECT_EQ(parsed("redis://cache").port, 6379);
  EXPECT_EQ(parsed("redis://cache").database, 0U);
  EXPECT_EQ(parsed("redis://cache:7000/3").port, 7000);
  EXPECT_EQ(parsed("redis://cache:7000/3").database, 3U);
  EXPECT_EQ(parsed("redis://[::1]:7000/").host, "::1");
  EXPECT_EQ(parsed("redis://[::1]:7000/").port, 7000);
}

TEST(RedisUrl, HasUserAndPasswordWithEscapes) {
  const RedisUrl right = parsed("redis://deja:p%40ss%3aw@cache:1/2");
  EXPECT_EQ(right.user, "deja");
  EXPECT_EQ(right.password, "p@ss:w");
  EXPECT_EQ(right.host, "cache");
  const RedisUrl alone = parsed("redis://:secret@cache");
  EXPECT_EQ(alone.user, "");
  EXPECT_EQ(alone.password, "secret");
}

TEST(RedisUrl, NamesAUnixSocket) {
  EXPECT_EQ(parsed("unix:///run/redis.sock").socket_path, "/run/redis.sock");
  EXPECT_EQ(parsed("unix:///run/redis.sock?db=4").database, 4U);
  EXPECT_EQ(parsed("unix://:pw@/run/redis.sock").password, "pw");
}

TEST(RedisUrl, IsRefusedWhenItIsNeitherForm) {
  for (const char* text :
       {"", "cache:6379", "http://cache", "redis://", "redis://:6379", "redis://cache:0",
        "redis://cache:65536", "redis://cache:x", "redis://cache:", "redis://cache/x",
        "redis://a%4@cache", "redis://a:p/w@cache", "redis://[::1", "redis://[::1]x",
        "unix://run/redis.sock", "unix://", "unix:///run/redis.sock?database=1",
        "unix:///run/redis.sock?db="}) {
    EXPECT_FALSE(RedisUrl::parse(text).ok()) << text;
  }
  EXPECT_FALSE(RedisUrl::parse("unix:///" + std::string(200, 'x')).ok());
}

TEST(RedisUrl, IsShownWithoutItsPassword) {
  EXPECT_EQ(parsed("redis://deja:secret@cache:7000/3").shown(), "redis://cache:7000/3");
  EXPECT_EQ(parsed("unix://:secret@/run/r.sock").shown(), "unix:///run/r.sock");
  EXPECT_EQ(RedisUrl::parse("redis://a:secret@cache:x").error().message().find("secret"),
            std::string::npos);
}

}  // namespace
}  // namespace deja
