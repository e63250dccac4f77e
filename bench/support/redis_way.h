// Redis's own way from an event to where another process sees it: XADD by the client, XREAD BLOCK
// by a consumer, which does HSET, and the HGET of the client that finds it. Its parties can be on
// one core, on two, or wherever the scheduler wants them. One thread, and the consumer's own.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "bench/support/parties.h"
#include "bench/support/redis_peer.h"

namespace deja::bench {

class RedisWay {
 public:
  enum class Cores { kOne, kServerApart, kAny };

  explicit RedisWay(std::vector<int> cores)
      : cores_(std::move(cores)),
        client_(redis_.connect()),
        consumer_connection_(redis_.connect()),
        consumer_([this] { consume(); }) {}
  ~RedisWay() {
    (void)command(client_, "XADD events * user bench-user number stop");
    consumer_.join();
  }
  RedisWay(const RedisWay&) = delete;
  RedisWay& operator=(const RedisWay&) = delete;

  /// The caller is the client, and is pinned with the others.
  void place(Cores how) {
    cpu_set_t clients;
    CPU_ZERO(&clients);
    for (std::size_t at = 0; at < cores_.size(); ++at) {
      if (how == Cores::kAny || at == 0) CPU_SET(static_cast<unsigned>(cores_[at]), &clients);
    }
    cpu_set_t server = clients;
    if (how == Cores::kServerApart) {
      CPU_ZERO(&server);
      CPU_SET(static_cast<unsigned>(cores_.back()), &server);
    }
    if (pthread_setaffinity_np(pthread_self(), sizeof clients, &clients) != 0 ||
        pthread_setaffinity_np(consumer_.native_handle(), sizeof clients, &clients) != 0 ||
        sched_setaffinity(redis_.server().pid(), sizeof server, &server) != 0) {
      give_up("can't pin Redis's way");
    }
  }

  /// One event, in ns.
  double once() {
    const std::string wanted = std::to_string(++number_);
    const std::int64_t begin_ns = steady_ns();
    (void)command(client_, "XADD events MAXLEN ~ 1000 * user bench-user number %s", wanted.c_str());
    poll_until(false, "Redis's event did not become visible", [&] {
      const Reply seen = command(client_, "HGET profile:bench-user number");
      return seen->type == REDIS_REPLY_STRING && wanted == seen->str;
    });
    return static_cast<double>(steady_ns() - begin_ns);
  }

 private:
  void consume() {
    std::string last = "0";
    for (;;) {
      const Reply reply =
          command(consumer_connection_, "XREAD BLOCK 0 STREAMS events %s", last.c_str());
      const redisReply* entries = reply->element[0]->element[1];
      for (std::size_t at = 0; at < entries->elements; ++at) {
        const redisReply* entry = entries->element[at];
        last = entry->element[0]->str;
        const std::string number = entry->element[1]->element[3]->str;
        if (number == "stop") return;
        (void)command(consumer_connection_, "HSET profile:bench-user number %s", number.c_str());
      }
    }
  }

  const std::vector<int> cores_;
  RedisPeer redis_;
  Connection client_;
  Connection consumer_connection_;
  std::uint64_t number_ = 0;
  std::thread consumer_;
};

}  // namespace deja::bench
