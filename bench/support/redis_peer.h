// The peer: a redis-server of the benchmark's own on a unix socket, without persistence so that it
// is at its best, and hiredis connections to it. One thread.
#pragma once

#include <hiredis/hiredis.h>

#include <memory>
#include <string>
#include <vector>

#include "bench/support/servers.h"

namespace deja::bench {

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Connection = std::unique_ptr<redisContext, FreeContext>;
using Reply = std::unique_ptr<redisReply, FreeReply>;

class RedisPeer {
 public:
  explicit RedisPeer(int core = -1)
      : server_({"redis-server", "--port", "0", "--unixsocket", "@/redis.sock", "--dir", "@",
                 "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"},
                "redis.sock", core) {}

  [[nodiscard]] const std::string& socket() const { return server_.socket(); }
  [[nodiscard]] const PeerServer& server() const { return server_; }
  [[nodiscard]] Connection connect() const {
    Connection connection(redisConnectUnix(socket().c_str()));
    if (!connection || connection->err != 0) give_up("can't connect to redis-server");
    return connection;
  }

 private:
  PeerServer server_;
};

/// One command and its reply; ends the benchmark when Redis refuses it.
template <typename... Arguments>
Reply command(const Connection& connection, const char* format, Arguments... arguments) {
  Reply reply(static_cast<redisReply*>(redisCommand(connection.get(), format, arguments...)));
  if (!reply || reply->type == REDIS_REPLY_ERROR) {
    give_up(reply ? reply->str : "redis-server hung up");
  }
  return reply;
}

/// Reads `count` replies of commands appended before.
inline void take_replies(const Connection& connection, std::uint64_t count) {
  for (std::uint64_t at = 0; at < count; ++at) {
    void* answer = nullptr;
    if (redisGetReply(connection.get(), &answer) != REDIS_OK) give_up("redis-server hung up");
    const Reply reply(static_cast<redisReply*>(answer));
    if (reply->type == REDIS_REPLY_ERROR) give_up(reply->str);
  }
}

}  // namespace deja::bench
