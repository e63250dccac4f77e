// Events over one connection into a real `deja serve`, decoded, deduplicated (each has an id of its
// own), logged, applied to 20 features of a million users by Zipf's law, and visible, against what
// one could pick instead, in the same run and in turns:
//
//   acks "applied", over the stream and over HTTP    Redis, five commands an event, pipelined
//   acks "durable"                                   NATS JetStream's file stream on the same disk
//
// The stream's load is frames encoded ahead (bench/support/stream_load.h), as Redis's commands are;
// deja::Producer, which encodes as it goes, is measured beside it. CPU is that of all our processes
// and of the client, until the last event is in the journal.
#include <sched.h>

#include <algorithm>
#include <map>
#include <string>
#include <thread>

#include "bench/support/loaded_appliance.h"
#include "bench/support/nats_peer.h"
#include "bench/support/process_cpu.h"
#include "bench/support/redis_load.h"
#include "bench/support/redis_peer.h"
#include "bench/support/report.h"
#include "bench/support/samples.h"
#include "shm/base/affinity.h"
#include "shm/base/clock.h"

namespace deja::bench {
namespace {

constexpr const char* kDisk = "/var/tmp";
constexpr std::uint64_t kInFlight = kCreditEvents;
constexpr std::uint32_t kConnections = 4;  // of HTTP
constexpr std::uint32_t kHttpEvents = 500;

/// Pins client and server to one core, or to one each, and lets this thread go again: the peer
/// takes the better, and ours, whose turn is next, goes where the kernel puts it.
class PeerCores {
 public:
  explicit PeerCores(const PeerServer& server) : server_(server) {
    if (sched_getaffinity(0, sizeof before_, &before_) != 0) give_up("which cores are ours?");
  }

  /// `prepare` is not counted.
  template <typename Prepare, typename Run>
  Pace better(std::uint64_t events, Prepare prepare, Run run) {
    Pace best;
    for (const int server_core : {1, 0}) {
      if (server_core != 0 && std::thread::hardware_concurrency() < 2) continue;
      server_.move_to(server_core);
      if (pin_this_thread(0) != 0) give_up("can't pin to core 0");
      prepare();
      const std::uint64_t cpu_before = cpu_ns();
      const std::int64_t begin = steady_ns();
      run();
      const auto took_ns = static_cast<double>(steady_ns() - begin);
      const auto count = static_cast<double>(events);
      const double cpu_of_event = static_cast<double>(cpu_ns() - cpu_before) / count;
      best.million_per_s = std::max(best.million_per_s, 1e3 * count / took_ns);
      best.cpu_ns = best.cpu_ns == 0 ? cpu_of_event : std::min(best.cpu_ns, cpu_of_event);
    }
    if (sched_setaffinity(0, sizeof before_, &before_) != 0) give_up("can't unpin");
    return best;
  }

 private:
  [[nodiscard]] std::uint64_t cpu_ns() const {
    return cpu_ns_of_process(server_.pid()) + cpu_ns_of_this_thread();
  }
  const PeerServer& server_;
  cpu_set_t before_{};
};

/// Rate and CPU of one way, round by round.
struct Way {
  Samples million_per_s;
  Samples cpu_ns;
  std::map<std::string, Samples> parts_ns;
  Pace add(const Pace& pace) {
    million_per_s.add(pace.million_per_s);
    cpu_ns.add(pace.cpu_ns);
    for (const auto& [name, ns] : pace.parts_ns) parts_ns[name].add(ns);
    return pace;
  }
  void show(Report& report, const std::string& name) {
    report.figure(name, "M/s", million_per_s);
    report.figure(name + ": CPU of an event", "ns", cpu_ns);
    for (auto& [part, ns] : parts_ns) report.figure(name + ": … " + part, "ns", ns);
  }
};

class Bench {
 public:
  explicit Bench(Report& report)
      : report_(report),
        users_(report.count("users", 1'000'000, 500)),
        events_(report.count("events", 1'000'000, 2'048)),
        rounds_(report.count("rounds", 5, 1)),
        visitors_(users_, true) {}

  /// One way alone, for a profiler.
  void alone(bool over_http) {
    LoadedAppliance deja(options("", false), visitors_);
    Way way;
    for (std::uint64_t round = 0; round < rounds_; ++round) {
      (void)way.add(over_http ? deja.http(events_, kConnections, kHttpEvents)
                              : deja.stream(events_));
    }
    way.show(report_, over_http ? "HTTP batches, bodies prepared" : "stream, frames encoded ahead");
  }

  /// Acks "applied": the stream, HTTP, Redis.
  void applied() {
    const RedisPeer redis;
    RedisLoad redis_load(redis);
    fill(redis_load);
    LoadedAppliance deja(options("", false), visitors_);
    PeerCores cores(redis.server());
    Way raw;
    Way producer;
    Way http;
    Way five;
    Way xadd;
    Samples rate_ratios;
    Samples cpu_ratios;
    Samples http_ratios;
    const std::uint64_t peer_events = events_ / 8;
    for (std::uint64_t round = 0; round < rounds_; ++round) {
      const Pace ours = raw.add(deja.stream(events_));
      const Pace theirs = five.add(cores.better(
          peer_events, [&] { redis_load.prepare(peer_events, [&] { return visitors_.next(); }); },
          [&] { redis_load.run(RedisLoad::kCommands); }));
      const Pace over_http = http.add(deja.http(events_ / 2, kConnections, kHttpEvents));
      producer.add(deja.producer(events_ / 2));
      xadd.add(cores.better(
          peer_events, [&] { redis_load.prepare_xadd(peer_events); }, [&] { redis_load.run(1); }));
      rate_ratios.add(ours.million_per_s / theirs.million_per_s);
      cpu_ratios.add(theirs.cpu_ns / ours.cpu_ns);
      http_ratios.add(over_http.million_per_s / theirs.million_per_s);
    }
    raw.show(report_, "stream, frames encoded ahead");
    producer.show(report_, "stream, deja::Producer");
    http.show(report_, "HTTP batches, bodies prepared");
    five.show(report_, "Redis, five commands an event");
    xadd.show(report_, "Redis XADD, nothing applied");
    report_.at_least("rate: stream / Redis", rate_ratios, 15);
    report_.at_least("CPU of an event: Redis / stream", cpu_ratios, 15);
    report_.at_least("stream", raw.million_per_s, 2.5, "M/s");
    report_.at_least("rate: HTTP / Redis", http_ratios, 6);
    report_.note(
        "acks applied: the journal ran, on tmpfs; write-behind did not (its first flush an hour "
        "away)");
    report_.note(
        "Redis: no persistence, unix socket, commands encoded ahead, better of 1 and 2 cores");
    report_.note("an event is " + std::to_string(deja.event_bytes()) + " B over the stream, " +
                 std::to_string(deja.http_event_bytes()) + " B over HTTP (" +
                 std::to_string(kConnections) + " connections, batches of " +
                 std::to_string(kHttpEvents) + ")");
    report_.note("CPU: supervisor, ingest, worker, keeper and client, until the journal has it");
  }

  /// The same where the journal is on a disk, and where write-behind runs too.
  void all_that_runs() {
    const std::uint64_t rounds = std::min<std::uint64_t>(rounds_, 3);
    Way on_disk;
    {
      LoadedAppliance deja(options(kDisk, false), visitors_);
      for (std::uint64_t round = 0; round < rounds; ++round) on_disk.add(deja.stream(events_));
    }
    Way with_redis;
    {
      LoadedAppliance deja(options("", true), visitors_);
      for (std::uint64_t round = 0; round < rounds; ++round) with_redis.add(deja.stream(events_));
    }
    on_disk.show(report_, "stream, applied; journal on a disk, no write-behind");
    with_redis.show(report_, "stream, applied; journal on tmpfs, write-behind");
    report_.note("write-behind: to the appliance's own redis-server, whose CPU is counted as ours");
  }

  /// Acks "durable" beside JetStream on the same disk.
  void durable() {
    const std::uint64_t default_events = events_ / 8;
    const std::uint64_t synced_events = report_.count("synced_events", 4'096, 64);
    const std::string payload(256, 'x');
    LoadedAppliance deja(options(kDisk, false), visitors_);
    const NatsPeer through(kDisk);
    const bool writes_through = through.write_through();
    const NatsPeer by_default(kDisk);
    NatsClient through_client(through);
    NatsClient default_client(by_default);
    through_client.make_stream("events");
    default_client.make_stream("events");
    Way ours;
    Way synced;
    Way js_default;
    Way core;
    Samples synced_ratios;
    Samples default_ratios;
    for (std::uint64_t round = 0; round < rounds_; ++round) {
      const Pace mine = ours.add(deja.durable(events_));
      const Pace theirs = synced.add(published(through, synced_events, [&] {
        through_client.publish_acked("events", payload, synced_events, kInFlight);
      }));
      const Pace lazy = js_default.add(published(by_default, default_events, [&] {
        default_client.publish_acked("events", payload, default_events, kInFlight);
      }));
      core.add(published(by_default, events_,
                         [&] { default_client.publish("nobody", payload, events_); }));
      synced_ratios.add(mine.million_per_s / theirs.million_per_s);
      default_ratios.add(mine.million_per_s / lazy.million_per_s);
    }
    ours.show(report_, "stream, durable; journal on a disk, no write-behind");
    synced.show(report_, "JetStream, file, on disk before the ack");
    js_default.show(report_, "JetStream, file, its default: synced every 2 minutes");
    core.show(report_, "NATS core, published to nobody");
    if (writes_through) {
      report_.at_least("durable: stream / JetStream, both on disk first", synced_ratios, 4);
    } else {
      report_.note("this file system has no attribute S: JetStream on disk first was not measured");
    }
    report_.ratio("durable: stream / JetStream's default, not on disk at its ack", default_ratios);
    report_.note(
        "JetStream of nats-server 2.9 can't sync before its ack: its store's files have attribute "
        "S "
        "(chattr +S), so each of its writes is on disk when it returns; 256 B, 4096 in flight");
  }

 private:
  [[nodiscard]] ApplianceOptions options(const std::string& journal_under,
                                         bool write_behind) const {
    ApplianceOptions options;
    options.users = users_;
    options.batch_events = static_cast<std::uint32_t>(report_.count("batch", 512, 64));
    options.journal_under = journal_under;
    options.write_behind = write_behind;
    return options;
  }
  /// Everybody has a profile.
  void fill(RedisLoad& load) const {
    constexpr std::uint64_t kPrepared = 50'000;
    std::uint64_t user = 0;
    for (std::uint64_t done = 0; done < users_; done += kPrepared) {
      load.prepare(std::min(kPrepared, users_ - done), [&] { return user++; });
      load.run(RedisLoad::kCommands);
    }
  }
  template <typename Run>
  static Pace published(const NatsPeer& peer, std::uint64_t events, Run run) {
    const auto cpu_ns = [&] {
      return cpu_ns_of_process(peer.server().pid()) + cpu_ns_of_this_thread();
    };
    const std::uint64_t cpu_before = cpu_ns();
    const std::int64_t begin = steady_ns();
    run();
    const auto took_ns = static_cast<double>(steady_ns() - begin);
    const auto count = static_cast<double>(events);
    return {1e3 * count / took_ns, static_cast<double>(cpu_ns() - cpu_before) / count, {}};
  }

  Report& report_;
  std::uint64_t users_;
  std::uint64_t events_;
  std::uint64_t rounds_;
  Visitors visitors_;
};

}  // namespace
}  // namespace deja::bench

int main(int argument_count, char** arguments) {
  deja::bench::Report report("throughput", argument_count, arguments);
  deja::bench::Bench bench(report);
  for (const char* way : {"stream_only", "http_only"}) {
    if (report.count(way, 0, 0) == 0) continue;
    bench.alone(way[0] == 'h');
    return 0;
  }
  if (report.count("applied", 1, 1) != 0) bench.applied();
  if (report.count("variants", 1, 1) != 0) bench.all_that_runs();
  if (report.count("durable", 1, 1) != 0) bench.durable();
  return 0;
}
