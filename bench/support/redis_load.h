// What a feature store of Redis does for one event of the shop: five commands, which raise a count,
// keep the last item and the recent ones, and weigh the taste. Encoded ahead of time, sent
// pipelined by hiredis, every reply read. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/support/redis_peer.h"
#include "bench/support/shop.h"
#include "bench/support/users.h"

namespace deja::bench {

class RedisLoad {
 public:
  static constexpr std::uint64_t kCommands = 5;

  explicit RedisLoad(const RedisPeer& redis) : connection_(redis.connect()) {}

  /// Takes up `events` events by whoever `next_user` says, to be sent later.
  template <typename NextUser>
  void prepare(std::uint64_t events, NextUser next_user) {
    batches_.clear();
    for (std::uint64_t event = 0; event < events; ++event) {
      if (event % kBatchEvents == 0) batches_.emplace_back();
      const std::uint64_t who = next_user();
      const ShopEvent about(number_++, who);
      const std::string user = user_name(who);
      const char* count = about.kind == ShopEvent::Kind::kOrder  ? "orders"
                          : about.kind == ShopEvent::Kind::kCart ? "carts"
                                                                 : "views";
      add({"HINCRBY", "profile:" + user, count, "1"});
      add({"HSET", "profile:" + user, "last_item", about.item});
      add({"LPUSH", "recent:" + user, about.item});
      add({"LTRIM", "recent:" + user, "0", "7"});
      add({"ZINCRBY", "taste:" + user, "1", about.category});
      ++batches_.back().events;
    }
  }
  /// XADD alone: the event is in a stream, and nothing was made of it.
  void prepare_xadd(std::uint64_t events) {
    batches_.clear();
    for (std::uint64_t event = 0; event < events; ++event) {
      if (event % kBatchEvents == 0) batches_.emplace_back();
      const ShopEvent about(number_, number_ % 1000);
      add({"XADD", "events", "MAXLEN", "~", "100000", "*", "user", user_name(number_++ % 1000),
           "item", about.item, "category", about.category, "price", std::to_string(about.price)});
      ++batches_.back().events;
    }
  }
  /// Sends what was prepared, two batches in flight, and reads all replies.
  void run(std::uint64_t commands_per_event) {
    std::uint64_t in_flight = 0;
    for (const Batch& batch : batches_) {
      redisAppendFormattedCommand(connection_.get(), batch.bytes.data(), batch.bytes.size());
      for (int done = 0; done == 0;) {
        if (redisBufferWrite(connection_.get(), &done) != REDIS_OK) give_up("redis hung up");
      }
      take_replies(connection_, in_flight);
      in_flight = batch.events * commands_per_event;
    }
    take_replies(connection_, in_flight);
  }

 private:
  static constexpr std::uint64_t kBatchEvents = 128;
  struct Batch {
    std::string bytes;
    std::uint64_t events = 0;
  };

  void add(const std::vector<std::string>& words) {
    std::string& bytes = batches_.back().bytes;
    bytes += '*' + std::to_string(words.size()) + "\r\n";
    for (const std::string& word : words) {
      bytes += '$' + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    }
  }

  Connection connection_;
  std::vector<Batch> batches_;
  std::uint64_t number_ = 0;
};

}  // namespace deja::bench
