// From an event sent over a unix-socket stream until another process sees the changed profile,
// against Redis's own way to the same: XADD by the client, XREAD by a consumer, HSET, and the HGET
// that finds it. Both in one run, in turns, one event at a time, wait = "adaptive". A real `deja
// serve` from the folder of this program, on a scratch directory.
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "bench/support/redis_peer.h"
#include "bench/support/report.h"
#include "bench/support/samples.h"
#include "bench/support/server.h"
#include "ingest/producer.h"
#include "shm/base/clock.h"
#include "shm/deja.h"

namespace deja::bench {
namespace {

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

void run(Report& report) {
  const std::uint64_t warm_up = report.count("warm_up", 200, 3);
  const std::uint64_t rounds = report.count("rounds", 30, 1);
  const std::uint64_t events = report.count("events", 100, 5);
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
  for (std::uint64_t event = 0; event < warm_up; ++event) {
    (void)ours.once();
    (void)theirs.once();
  }
  Samples our_times;
  Samples their_times;
  Samples ratios;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    Samples our_round;
    Samples their_round;
    const auto measure = [events](auto& way, Samples& samples_of_round, Samples& all) {
      for (std::uint64_t event = 0; event < events; ++event) {
        usleep(kPauseUs);
        const double microseconds = way.once() / 1000;
        samples_of_round.add(microseconds);
        all.add(microseconds);
      }
    };
    measure(ours, our_round, our_times);
    measure(theirs, their_round, their_times);
    ratios.add(their_round.median() / our_round.median());
  }
  report.figure("deja stream → libdeja, adaptive", "µs", our_times);
  report.figure("Redis XADD → XREAD → HSET → HGET", "µs", their_times);
  report.at_least("p50: Redis's way / ours, adaptive", ratios, 2.5);
  report.note(
      "unix sockets, one event at a time, all asleep before it; journal and write-behind ran");
}

}  // namespace
}  // namespace deja::bench

int main(int argument_count, char** arguments) {
  deja::bench::Report report("event_visible", argument_count, arguments);
  deja::bench::run(report);
  return 0;
}
