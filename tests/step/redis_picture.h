// Pictures of all that a Redis has, taken and put back over a connection of the test's own. Test
// code; header only; one thread.
#pragma once

#include <map>
#include <string>

#include "shm/base/check.h"
#include "workers/redis/redis_connection.h"

namespace deja {

class RedisPictures {
 public:
  using Picture = std::map<std::string, std::string>;  ///< by key, as DUMP has it

  explicit RedisPictures(const std::string& url)
      : connection_(std::move(
            *RedisConnection::connect(*RedisUrl::parse(url), RedisLimits{3000, 30'000}, {}))) {}

  /// The same where the same is in it. Redis has then done all that was sent to it before.
  [[nodiscard]] std::string digest() {
    // What arrived on another connection is done in the round of the first at the latest.
    static_cast<void>(ask({"PING"}));
    return std::string(ask({"DEBUG", "DIGEST"}).text());
  }
  [[nodiscard]] Picture take() {
    Picture picture;
    const RedisReply keys = ask({"KEYS", "*"});
    for (std::size_t at = 0; at < keys.size(); ++at) {
      const std::string key(keys.element(at).text());
      picture[key] = ask({"DUMP", key}).text();
    }
    return picture;
  }
  void put_back(const Picture& picture) {
    static_cast<void>(ask({"FLUSHALL"}));
    for (const auto& [key, bytes] : picture) static_cast<void>(ask({"RESTORE", key, "0", bytes}));
  }
  /// A field of a hash; 0 where there is none.
  [[nodiscard]] std::uint64_t number(const std::string& key, const std::string& field) {
    return ask({"HGET", key, field}).number().value_or(0);
  }

 private:
  RedisReply ask(std::initializer_list<std::string_view> words) {
    Result<RedisReply> reply = connection_.command(words);
    CHECK(reply.ok() && !reply->is_error());
    return std::move(*reply);
  }
  RedisConnection connection_;
};

}  // namespace deja
