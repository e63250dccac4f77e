// One connection to Redis. hiredis finds the address, connects and reads the protocol; sending and
// waiting are done here, so that a wait can do something useful and ends at a time that is known.
//
// One thread. A call blocks for at most the time limits below; while it waits, `while_waiting` is
// called every few milliseconds (the keeper drains its logs there). Looking up a host's name is
// the system's and has the system's own limits.
//
//  1. Every command appended gets exactly one reply, in order; exchange() reads all of them.
//  2. After an error of transport or protocol the connection is broken for good: what was sent may
//     or may not have been done. Its owner opens another.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "shm/base/result.h"
#include "workers/redis/redis_reply.h"
#include "workers/redis/redis_url.h"

struct redisContext;

namespace deja {

struct RedisLimits {
  std::int64_t connect_ms = 1000;
  std::int64_t silence_ms = 3000;  ///< no byte sent or received for so long: broken
};

class RedisConnection {
 public:
  using WhileWaiting = std::function<void()>;

  /// Connects; AUTH and SELECT where the url asks for them. `while_waiting` may be empty.
  [[nodiscard]] static Result<RedisConnection> connect(const RedisUrl& url,
                                                       const RedisLimits& limits,
                                                       WhileWaiting while_waiting);

  /// Puts a command behind those waiting to be sent.
  void append(std::span<const std::string_view> arguments);
  void append(std::initializer_list<std::string_view> arguments) {
    append(std::span<const std::string_view>(arguments.begin(), arguments.size()));
  }
  [[nodiscard]] std::size_t appended_bytes() const { return output_.size(); }
  [[nodiscard]] std::size_t appended_count() const { return appended_count_; }

  /// Sends what was appended and reads all replies: `visit(index, reply)` for each, errors of
  /// single commands included. An Error is one of the connection; then the rest was not visited,
  /// and what was visited may have been the reply to another command: see 3.
  using Visit = std::function<void(std::size_t index, RedisReply reply)>;
  [[nodiscard]] Status exchange(const Visit& visit);

  /// One command and its reply. Nothing may be appended before.
  [[nodiscard]] Result<RedisReply> command(std::initializer_list<std::string_view> arguments);

  /// Whether an idle connection (nothing appended, nothing awaited) is still there, as far as the
  /// host knows. Does not block.
  [[nodiscard]] bool alive() const;

  [[nodiscard]] const RedisUrl& url() const { return url_; }

 private:
  struct FreeContext {
    void operator()(redisContext* context) const;
  };
  RedisConnection(RedisUrl url, RedisLimits limits, WhileWaiting while_waiting,
                  std::unique_ptr<redisContext, FreeContext> context);
  Status await_connected();
  Status greet();
  Status wait_for(short events, std::int64_t deadline_ns);
  Status send_some(std::size_t& sent);
  /// False when there is no byte to read yet.
  Result<bool> receive_some();
  Status exchange_all(const Visit& visit);
  [[nodiscard]] Error broken(std::string_view what, int error_number = 0) const;

  RedisUrl url_;
  RedisLimits limits_;
  WhileWaiting while_waiting_;
  std::unique_ptr<redisContext, FreeContext> context_;
  std::string output_;
  std::size_t appended_count_ = 0;
  std::uint64_t fence_ = 0;
};

}  // namespace deja
