// How long until everything is there again, a million profiles: a renderer that opens the
// appliance, a worker whose predecessor was killed, `deja serve` whose whole tree was killed, and
// `deja serve` on a host where nothing is left but Redis. Against Redis started again with a
// million values of 256 bytes, and with the very profiles that the last one reads back.
//
// Redis' files and ours lie in memory; the journal of the last one is gone with its host.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bench/support/fill.h"
#include "bench/support/redis_life.h"
#include "bench/support/report.h"
#include "bench/support/samples.h"
#include "bench/support/server.h"
#include "bench/support/users.h"
#include "shm/base/clock.h"
#include "shm/deja.h"
#include "shm/process_file.h"
#include "shm/segment.h"
#include "workers/worker.h"

namespace deja::bench {
namespace {

/// A block of 256 bytes: header, a key slot of 16, these.
constexpr const char* kFeatures = R"(
[events]
view  = { track = "Product Viewed", item = "properties.product_id", price = "properties.price" }
order = { track = "Order Completed", value = "properties.revenue" }
[features]
views     = { type = "count", event = "view" }
views_1d  = { type = "count", event = "view", window = "1d" }
orders    = { type = "count", event = "order" }
spend     = { type = "sum", event = "order", of = "value" }
price_max = { type = "max", event = "view", of = "price" }
price_min = { type = "min", event = "view", of = "price" }
price_sum = { type = "sum", event = "view", of = "price" }
last_item = { type = "last", event = "view", of = "item", bytes = 16 }
session   = { type = "session", gap = "30m" }
dear      = { type = "count", event = "view", where = "price > 100" }
large     = { type = "count", event = "order", where = "value > 100" }
)";

double seconds_since(std::int64_t begin_ns) {
  return static_cast<double>(steady_ns() - begin_ns) / 1e9;
}

class Bench {
 public:
  explicit Bench(Report& report)
      : report_(report),
        profiles_(report.count("profiles", 1'000'000, 1'000)),
        rounds_(static_cast<int>(report.count("rounds", 5, 1))) {}

  void run() {
    plain_redis();
    RedisLife redis({"--appendonly", "no"});
    // With room for new users: a start leaves some, and what is left out is in no renderer's reach.
    Server server("profiles = " + std::to_string(profiles_ + profiles_ / 8 + 8'000) +
                  "\nshards = 64\nkey_bytes = 16\nhuge_pages = \"off\"\n[cpu]\nworkers = 1\n"
                  "ingest = 1\n[redis]\nurl = \"unix://" +
                  redis.socket() + "\"\n" + kFeatures);
    fill_all(server);
    warm(server);
    cold(server, redis);
  }

 private:
  /// What one would have instead: the same million under the same names, 256 bytes each.
  void plain_redis() {
    Samples log_s;
    {
      RedisLife redis({"--appendonly", "no"});
      set_all(redis);
      command(redis.connect(), "SAVE");
      for (int round = 0; round < rounds_; ++round) {
        redis.end(SIGKILL);
        redis_s_.add(redis.start_s());
      }
      check(redis, profiles_);
    }
    if (report_.count("aof", 1, 1) != 0) {
      RedisLife redis({"--appendonly", "yes", "--appendfsync", "no", "--aof-use-rdb-preamble", "no",
                       "--auto-aof-rewrite-percentage", "0"});
      set_all(redis);
      redis.end(SIGTERM);
      log_s.add(redis.start_s());
      check(redis, profiles_);
    }
    report_.figure("Redis, started again with 256 B each: its snapshot", "s", redis_s_);
    report_.figure("Redis, the same: its append-only file", "s", log_s);
  }

  void set_all(const RedisLife& redis) const {
    const Connection connection = redis.connect();
    const std::string value(256, 'v');
    constexpr std::uint64_t kAtOnce = 500;
    for (std::uint64_t first = 0; first < profiles_; first += kAtOnce) {
      for (std::uint64_t number = first; number < first + kAtOnce; ++number) {
        const std::string user = user_name(number);
        redisAppendCommand(connection.get(), "SET %b %b", user.data(), user.size(), value.data(),
                           value.size());
      }
      take_replies(connection, kAtOnce);
    }
  }
  static void check(const RedisLife& redis, std::uint64_t at_least) {
    const Reply size = command(redis.connect(), "DBSIZE");
    if (static_cast<std::uint64_t>(size->integer) < at_least) give_up("Redis has lost something");
  }

  /// Views of that many users, one each, until all are acknowledged, so applied and visible.
  static void view(const Server& server, std::uint64_t users) {
    ProducerEvent event;
    event.name = "Product Viewed";
    event.properties = {{"product_id", "product-4711"}, {"price", 17.5}};
    static_cast<void>(fill(server, event, users, users));
  }

  void fill_all(const Server& server) const {
    const std::int64_t begin_ns = steady_ns();
    view(server, profiles_);
    const double applied_s = seconds_since(begin_ns);
    // All of it in Redis too, watermarks included: then a start finds nothing to catch up with.
    for (;;) {
      const auto view = ProcessView::read(opened(server).path("process-keeper"));
      if (view.ok() && counter(*view, "deja_redis_written_total") >= profiles_ &&
          counter(*view, "deja_flush_lag_events") == 0) {
        break;
      }
      if (seconds_since(begin_ns) > 300) give_up("Redis does not get everything");
      usleep(10'000);
    }
    report_.note(std::to_string(profiles_) + " profiles applied in " + std::to_string(applied_s) +
                 " s, in Redis after " + std::to_string(seconds_since(begin_ns)) + " s");
  }
  static std::uint64_t counter(const ProcessView& view, const char* name) {
    for (const auto& counter : view.counters) {
      if (counter.name == name) return counter.value;
    }
    return 0;
  }
  static Segment opened(const Server& server) {
    auto segment = Segment::open(server.segment());
    if (!segment.ok()) give_up(segment.error().message().c_str());
    return std::move(*segment);
  }

  void warm(Server& server) {
    report_.figure("a profile's block", "B", opened(server).geometry().block_bytes());
    Samples open_us, attach_ms, serve_ms, apply_ms;
    for (int round = 0; round < rounds_ * 4; ++round) open_us.add(open_us_of(server));
    for (int round = 0; round < rounds_; ++round) {
      server.kill_tree();
      attach_ms.add(attach_ms_of(server));
      const std::int64_t begin_ns = steady_ns();
      server.start();
      serve_ms.add(seconds_since(begin_ns) * 1e3);
      view(server, 1);
      apply_ms.add(seconds_since(begin_ns) * 1e3);
      static_cast<void>(open_us_of(server));  // and everybody is there
    }
    report_.figure("a renderer opens it, and reads its first profile", "µs", open_us);
    report_.figure("a worker takes over: mapped, swept, ready to apply", "ms", attach_ms);
    report_.figure("deja serve, its whole tree killed: started, ready for events", "ms", serve_ms);
    report_.figure("the same, until the first event is applied", "ms", apply_ms);
    compare("re-attached: Redis' restart / a renderer's", open_us.median() / 1e6, 1000);
    compare("ready to apply: Redis' restart / a worker's", attach_ms.median() / 1e3, 10);
    compare("ready to apply: Redis' restart / the whole tree's", apply_ms.median() / 1e3, 10);
  }
  double open_us_of(const Server& server) {
    const std::string user = user_name(next_++ * 7'919 % profiles_);
    const std::int64_t begin_ns = steady_ns();
    deja_appliance* appliance = nullptr;
    if (deja_open("bench", server.directory().c_str(), &appliance) != DEJA_OK) {
      give_up("can't open the appliance");
    }
    memory_.resize(deja_profile_bytes(appliance) / 8);
    if (deja_get(appliance, deja_user(user.data(), static_cast<std::uint32_t>(user.size())),
                 reinterpret_cast<deja_profile*>(memory_.data())) != DEJA_OK) {
      give_up("a user is missing");
    }
    const double us = seconds_since(begin_ns) * 1e6;
    deja_close(appliance);
    return us;
  }
  static double attach_ms_of(const Server& server) {
    const std::int64_t begin_ns = steady_ns();
    const Segment segment = opened(server);
    const Result<std::unique_ptr<Worker>> worker = Worker::attach(segment, 0);
    if (!worker.ok()) give_up(worker.error().message().c_str());
    if (!(*worker)->recovered()) give_up("a worker has lost its profiles");
    return seconds_since(begin_ns) * 1e3;
  }
  void compare(const std::string& name, double ours_s, double target) {
    Samples ratios = redis_s_;
    ratios.divide_by(ours_s);
    report_.at_least(name, ratios, target);
  }

  /// Nothing but Redis is left, which has been started again too.
  void cold(Server& server, RedisLife& redis) {
    server.stop();
    command(redis.connect(), "SAVE");
    Samples load_k_s, cold_k_s, ratio, of_plain;
    const auto thousands = static_cast<double>(profiles_) / 1e3;
    for (int round = 0; round < (rounds_ + 1) / 2; ++round) {
      redis.end(SIGKILL);
      const double load_s = redis.start_s();
      check(redis, profiles_);
      std::filesystem::remove_all(server.segment());
      std::filesystem::remove_all(server.directory() + "/durable");
      const std::int64_t begin_ns = steady_ns();
      server.start();
      const double cold_s = seconds_since(begin_ns);
      for (int look = 0; look < 100; ++look) static_cast<void>(open_us_of(server));
      load_k_s.add(thousands / load_s);
      cold_k_s.add(thousands / cold_s);
      ratio.add(load_s / cold_s);
      of_plain.add(redis_s_.median() / cold_s);
      server.kill_tree();
    }
    report_.figure("Redis loads these profiles' snapshot", "k/s", load_k_s);
    report_.figure("deja serve, cold: read back from Redis, ready", "k/s", cold_k_s);
    report_.at_least("cold start: rate / Redis loading the same", ratio, 0.5);
    report_.ratio("cold start: rate / Redis loading 256 B each", of_plain);
  }

  Report& report_;
  std::uint64_t profiles_;
  int rounds_;
  std::uint64_t next_ = 0;
  std::vector<std::uint64_t> memory_;
  Samples redis_s_;
};

}  // namespace
}  // namespace deja::bench

int main(int argument_count, char** arguments) {
  deja::bench::Report report("come_back", argument_count, arguments);
  deja::bench::Bench(report).run();
  return 0;
}
