// From an event sent over a unix-socket stream until another process sees the changed profile,
// against Redis's own way to the same: XADD by the client, XREAD by a consumer, HSET, and the HGET
// that finds it. Both in one run, in turns, one event at a time, wait = "adaptive". A real `deja
// serve` from the folder of this program, on a scratch directory.
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "bench/support/redis_peer.h"
#include "bench/support/samples.h"
#include "bench/support/server.h"
#include "ingest/producer.h"
#include "shm/base/clock.h"
#include "shm/deja.h"

namespace deja::bench {
namespace {

constexpr int kRounds = 30;
constexpr int kEventsPerRound = 100;
constexpr int kWarmUp = 200;
constexpr std::int64_t kPauseUs = 500;  // both sides idle between two events, as visitors are
constexpr std::int64_t kGiveUpNs = 2'000'000'000;
constexpr const char* kUser = "bench-user";

/// Ours: one event through the producer, seen by polling libdeja.
class OurWay {
 public:
  explicit OurWay(const Server& server) {
    ProducerOptions options;
    options.address = "unix:" + server.socket();
    options.batch_events = 1;
    options.linger_us = 0;
    Result<std::unique_ptr<Producer>> producer = Producer::open(options);
    if (!producer.ok()) give_up(producer.error().message().c_str());
    producer_ = std::move(*producer);
    if (deja_open("bench", server.directory().c_str(), &appliance_) != DEJA_OK) {
      give_up("can't open the appliance");
    }
    profile_.resize(deja_profile_bytes(appliance_) / 8);
    event_.name = "Product Viewed";
    event_.user_id = kUser;
    event_.properties = {{"product_id", "p1"}};
    (void)producer_->send(event_);
    if (!producer_->flush(5'000'000)) give_up("the first event was not acknowledged");
  }
  ~OurWay() { deja_close(appliance_); }
  OurWay(const OurWay&) = delete;
  OurWay& operator=(const OurWay&) = delete;

  double once() {
    const std::uint64_t before = sequence();
    const std::int64_t begin = steady_ns();
    if (producer_->send(event_) != SendOutcome::kTaken) give_up("an event was not taken");
    while (sequence() == before) {
      if (steady_ns() - begin > kGiveUpNs) give_up("an event did not become visible");
      sched_yield();  // two cores, three parties: the reader must not hold the one that is needed
    }
    const std::int64_t end = steady_ns();
    if (!producer_->flush(1'000'000)) give_up("an event was not acknowledged");
    return static_cast<double>(end - begin);
  }

 private:
  [[nodiscard]] std::uint64_t sequence() {
    auto* profile = reinterpret_cast<deja_profile*>(profile_.data());
    const deja_key user = deja_user(kUser, static_cast<std::uint32_t>(std::strlen(kUser)));
    return deja_get(appliance_, user, profile) == DEJA_OK ? deja_sequence(profile) : 0;
  }

  std::unique_ptr<Producer> producer_;
  deja_appliance* appliance_ = nullptr;
  std::vector<std::uint64_t> profile_;
  ProducerEvent event_;
};

/// Theirs: a consumer thread blocks in XREAD and writes the profile; the client polls with HGET.
class RedisWay {
 public:
  explicit RedisWay(const RedisPeer& redis)
      : client_(redis.connect()), consumer_connection_(redis.connect()) {
    consumer_ = std::thread([this] { consume(); });
  }
  ~RedisWay() {
    (void)command(client_, "XADD events * user %s number stop", kUser);
    consumer_.join();
  }
  RedisWay(const RedisWay&) = delete;
  RedisWay& operator=(const RedisWay&) = delete;

  double once() {
    const std::string wanted = std::to_string(++number_);
    const std::int64_t begin = steady_ns();
    (void)command(client_, "XADD events MAXLEN ~ 1000 * user %s number %s", kUser, wanted.c_str());
    for (;;) {
      const Reply seen = command(client_, "HGET profile:%s number", kUser);
      if (seen->type == REDIS_REPLY_STRING && wanted == seen->str) break;
      if (steady_ns() - begin > kGiveUpNs) give_up("Redis's event did not become visible");
    }
    return static_cast<double>(steady_ns() - begin);
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
        (void)command(consumer_connection_, "HSET profile:%s number %s", kUser, number.c_str());
      }
    }
  }

  Connection client_;
  Connection consumer_connection_;
  std::thread consumer_;
  std::uint64_t number_ = 0;
};

void print(const char* name, Samples& samples) {
  std::printf("  %-34s p50 %7.1f µs   p99 %7.1f µs   max %8.1f µs\n", name, samples.median() / 1000,
              samples.quantile(0.99) / 1000, samples.quantile(1) / 1000);
}

int run() {
  const Server server(
      "profiles = 10_000\nshards = 16\n"
      "[cpu]\nwait = \"adaptive\"\n"
      "[events]\nview = { track = \"Product Viewed\", item = \"properties.product_id\" }\n"
      "[features]\nviews = { type = \"count\", event = \"view\" }\n"
      "views_1h = { type = \"count\", event = \"view\", window = \"1h\" }\n"
      "recent = { type = \"recent\", event = \"view\", of = \"item\", keep = 8 }\n");
  const RedisPeer redis;
  OurWay ours(server);
  RedisWay theirs(redis);
  for (int event = 0; event < kWarmUp; ++event) {
    (void)ours.once();
    (void)theirs.once();
  }
  Samples our_times;
  Samples their_times;
  Samples ratios;
  for (int round = 0; round < kRounds; ++round) {
    Samples our_round;
    Samples their_round;
    const auto measure = [](auto& way, Samples& samples_of_round, Samples& all) {
      for (int event = 0; event < kEventsPerRound; ++event) {
        usleep(kPauseUs);
        const double nanoseconds = way.once();
        samples_of_round.add(nanoseconds);
        all.add(nanoseconds);
      }
    };
    measure(ours, our_round, our_times);
    measure(theirs, their_round, their_times);
    ratios.add(their_round.median() / our_round.median());
  }
  std::printf("event_visible: %d interleaved rounds of %d events, unix sockets, one at a time\n",
              kRounds, kEventsPerRound);
  print("deja stream → libdeja, adaptive", our_times);
  print("Redis XADD → XREAD → HSET → HGET", their_times);
  std::printf("  %-34s %11.2f      (%.2f … %.2f)\n", "ratio of medians", ratios.median(),
              ratios.quantile(0.05), ratios.quantile(0.95));
  return 0;
}

}  // namespace
}  // namespace deja::bench

int main() {
  return deja::bench::run();
}
