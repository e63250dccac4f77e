// One connection to Redis. hiredis finds the address, connects and reads replies of any kind; what
// is sent, and replies of a word or two, are put together and read here, and so is the waiting: a
// wait can do something useful and ends at a time that is known.
//
// One thread. A call blocks for at most the time limits below; while it waits, `while_waiting` is
// called every few milliseconds (the keeper drains its logs there). Looking up a host's name is
// the system's and has the system's own limits.
//
//   exchange()                  all replies, of any kind, before it returns
//   begin_exchange() …          several on their way at once, so that Redis always has work:
//   finish_exchange()           the oldest's replies, each a ShortReply
//
//  1. Every command appended gets exactly one reply, in order; an exchange reads all of them.
//  2. After an error of transport or protocol the connection is broken for good: what was sent may
//     or may not have been done. Its owner opens another.
//  3. Each exchange ends with an ECHO of a fresh word, which must be its last reply: a line that
//     repeats one reply and loses another is found out at that exchange's end, not later.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shm/base/result.h"
#include "workers/redis/redis_reply.h"
#include "workers/redis/redis_url.h"
#include "workers/redis/resp_buffer.h"
#include "workers/redis/short_replies.h"

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
  /// The same, put together by the caller: the texts of the one command begun here are to be added
  /// to what is returned, before anything else is appended.
  [[nodiscard]] RespBuffer& append_command(std::size_t argument_count) {
    next_.output.command(argument_count);
    ++next_.expected;
    return next_.output;
  }
  [[nodiscard]] std::size_t appended_bytes() const { return next_.output.size(); }

  /// Sends what was appended and reads all replies: `visit(index, reply)` for each, errors of
  /// single commands included. An Error is one of the connection; then the rest was not visited,
  /// and what was visited may have been the reply to another command: see 3. Nothing may be under
  /// way.
  using Visit = std::function<void(std::size_t index, RedisReply reply)>;
  [[nodiscard]] Status exchange(const Visit& visit);

  /// Begins to send what was appended (something was), and does not wait: finish_exchange() sends
  /// the rest, and reads.
  [[nodiscard]] Status begin_exchange();
  /// Reads all replies of the oldest exchange that is under way. `visit` as above; the reply's
  /// bytes are gone after it.
  using ShortVisit = std::function<void(std::size_t index, const ShortReply& reply)>;
  [[nodiscard]] Status finish_exchange(const ShortVisit& visit);
  [[nodiscard]] std::size_t under_way() const { return under_way_.size(); }

  /// One command and its reply. Nothing may be appended before, or be under way.
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
  /// Commands that are sent, or being sent, and whose replies are awaited.
  struct Exchange {
    RespBuffer output;
    std::size_t sent = 0;
    std::size_t expected = 0;  // replies
    std::string fence;         // the last of them
  };
  Status await_connected();
  Status greet();
  void close_appended();
  void start_appended();
  void end_oldest();
  enum class Wait : std::uint8_t { kWoken, kNapping };
  Status given_up_if_broken(Status done);
  Status wait_for(short events, std::int64_t deadline_ns);
  Status nap_until(std::int64_t deadline_ns);
  /// Sends what the socket takes.
  Status send_some();
  [[nodiscard]] std::size_t unsent_bytes() const;
  /// How many bytes came: 0 when there is none to read yet.
  Result<std::size_t> receive_some(char* into, std::size_t bytes);
  /// Sends and receives, waiting until something came.
  Result<std::size_t> await_some(char* into, std::size_t bytes, Wait wait);
  Status read_replies(const Visit& visit);
  Status read_short_replies(const ShortVisit& visit);
  [[nodiscard]] Error broken(std::string_view what, int error_number = 0) const;

  RedisUrl url_;
  RedisLimits limits_;
  WhileWaiting while_waiting_;
  std::unique_ptr<redisContext, FreeContext> context_;
  Exchange next_;  // what is appended
  std::deque<Exchange> under_way_;
  std::vector<RespBuffer> spare_;  // of exchanges that are done, for their memory
  ShortReplies short_replies_;
  std::int64_t waited_ns_ = 0;    // when while_waiting was called last, in a nap
  std::int64_t nap_us_ = 500;     // as long as the last exchange suggests
  std::int64_t finished_ns_ = 0;  // when that was
  std::uint64_t fence_ = 0;
};

}  // namespace deja
