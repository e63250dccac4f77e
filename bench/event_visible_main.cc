// From before an event is handed over until another process sees the changed profile: through a
// real `deja serve` with wait = "spin" and with wait = "adaptive", over its unix-socket stream and
// over a kept HTTP connection; beside a raw way with the same processes on the same cores that
// decodes and applies nothing (support/raw_way.h), and Redis's own way (support/redis_way.h) where
// its parties do best. In turns, one event at a time, everybody else at rest.
//
// On two cores the client, ingest and the worker are three parties. "spin" and "adaptive" have the
// client on one and the two others on the second; placement=N puts them elsewhere
// (support/parties.h). "adaptive on one core" is what waking somebody on another core costs. What a
// core for each would give is bounded by ingest and worker in one process, with the client on a
// core of its own, and the same for the raw way.
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/support/fused_appliance.h"
#include "bench/support/raw_way.h"
#include "bench/support/redis_way.h"
#include "bench/support/report.h"
#include "bench/support/samples.h"
#include "bench/support/server.h"
#include "bench/support/visible_profile.h"

namespace deja::bench {
namespace {

constexpr const char* kShop =
    "[events]\nview = { track = \"Product Viewed\", item = \"properties.product_id\" }\n"
    "[features]\nviews = { type = \"count\", event = \"view\" }\n"
    "views_1h = { type = \"count\", event = \"view\", window = \"1h\" }\n"
    "recent = { type = \"recent\", event = \"view\", of = \"item\", keep = 8 }\n";

struct Plan {
  std::vector<int> cores;
  std::uint64_t warm_up, rounds, events, pause_us;
};

/// One of ours, and what of its kind is beside it.
struct Scene {
  std::string name;
  const char* wait;
  const char* raw;
  RawWay::Waits raw_waits;
  Placement placement;

  [[nodiscard]] bool spins() const { return raw_waits == RawWay::Waits::kSpinning; }
};

/// One way and what it took, in µs.
struct Way {
  Way(std::string name_of_it, Parties parties_of_it, std::function<double()> once)
      : name(std::move(name_of_it)), parties(std::move(parties_of_it)), once_ns(std::move(once)) {}

  std::string name;
  Parties parties;  // held while it is another's turn
  std::function<double()> once_ns;
  Samples all;
  std::vector<double> p50, p99;  // of each round

  void turn(const Plan& plan) {
    parties.go();
    Samples round;
    for (std::uint64_t event = 0; event < plan.warm_up + plan.events; ++event) {
      usleep(static_cast<useconds_t>(plan.pause_us));
      const double took_us = once_ns() / 1000;
      if (event < plan.warm_up) continue;
      round.add(took_us);
      all.add(took_us);
    }
    parties.hold();
    p50.push_back(round.median());
    p99.push_back(round.quantile(0.99));
  }
};

Samples ratios(const std::vector<double>& over, const std::vector<double>& under) {
  Samples all;
  for (std::size_t round = 0; round < over.size(); ++round) all.add(over[round] / under[round]);
  return all;
}

Samples differences(const std::vector<double>& of, const std::vector<double>& from) {
  Samples all;
  for (std::size_t round = 0; round < of.size(); ++round) all.add(of[round] - from[round]);
  return all;
}

/// Redis's parties on one core, on two, or unpinned: whichever did best in this round.
void redis_turn(const Plan& plan, RedisWay& redis, Way& way) {
  Way best = way;
  for (const auto cores :
       {RedisWay::Cores::kOne, RedisWay::Cores::kServerApart, RedisWay::Cores::kAny}) {
    redis.place(cores);
    Way tried = way;
    tried.turn(plan);
    if (best.p50.size() == way.p50.size() || tried.p50.back() < best.p50.back()) best = tried;
  }
  way = best;
}

std::string config(const Plan& plan, const Scene& scene) {
  const auto core = [&](unsigned place) { return std::to_string(plan.cores[place]); };
  return "profiles = 10_000\nshards = 16\n[cpu]\nwait = \"" + std::string(scene.wait) +
         "\"\ningest = [" + core(scene.placement.ingest) + "]\nworkers = [" +
         core(scene.placement.worker) + "]\n" + kShop;
}

void tell(Report& report, Way& way) {
  Samples p99;
  for (const double round : way.p99) p99.add(round);
  report.figure(way.name, "µs", way.all);
  report.figure(way.name + ": p99", "µs", p99);
  const auto point = [&](double share) {
    report.point("visible_latency", way.name, way.all.quantile(share), share);
  };
  for (int percent = 1; percent < 100; ++percent) point(percent / 100.0);
  for (const double share : {0.995, 0.999}) point(share);
}

/// What ours and the raw way take with neither a core to be shared nor a way between cores.
class Bound {
 public:
  Bound(const Plan& plan, const Scene& scene)
      : appliance_(config(plan, scene), plan.cores[1]),
        profile_("test", appliance_.directory(), false),
        stream_(appliance_.socket(), profile_),
        raw_(visible_event_bytes(), Placement{"", 0, 1, 1}, plan.cores,
             RawWay::Waits::kSpinningFused),
        ours_("stream → libdeja, spin, ingest and worker in one process", appliance_.parties(),
              [this] { return stream_.once(); }),
        bare_("raw way, spinning, in one process", raw_.parties(), [this] { return raw_.once(); }) {
    ours_.parties.hold();
    bare_.parties.hold();
  }
  void turn(const Plan& plan) {
    ours_.turn(plan);
    bare_.turn(plan);
  }
  void tell_of(Report& report, const Way& theirs) {
    tell(report, ours_);
    tell(report, bare_);
    Samples below_redis = ratios(theirs.p50, ours_.p50);
    Samples raw_below_redis = ratios(theirs.p50, bare_.p50);
    report.at_least("p50: spin, a core for each (bound): Redis's way / ours", below_redis, 20);
    report.ratio("p50: spin, a core for each (bound): Redis's way / raw way", raw_below_redis);
  }

 private:
  FusedAppliance appliance_;
  VisibleProfile profile_;
  StreamWay stream_;
  RawWay raw_;
  Way ours_;
  Way bare_;
};

void compare(Report& report, const Scene& scene, const Way& streamed, const Way& posted,
             const Way& bare, const Way& theirs) {
  Samples over_raw = ratios(streamed.p50, bare.p50);
  Samples below_redis = ratios(theirs.p50, streamed.p50);
  Samples tail = ratios(streamed.p99, theirs.p99);
  Samples more = differences(posted.p50, streamed.p50);
  const std::string p50 = "p50: " + scene.name;
  const std::string raw_name = p50 + " / raw way " + scene.raw;
  if (scene.name == scene.wait) {
    report.at_most(raw_name, over_raw, scene.spins() ? 1.75 : 1.3);
  } else {
    report.ratio(raw_name, over_raw);
  }
  report.at_least(p50 + ": Redis's way / ours", below_redis, scene.spins() ? 8 : 2.5);
  if (scene.spins()) {
    report.at_most("p99: " + scene.name + " / Redis's way", tail, 0.2);
  } else {
    report.ratio("p99: " + scene.name + " / Redis's way", tail);
  }
  report.at_most(p50 + ": HTTP, kept connection, beyond the stream", more, 25, "µs");
}

void measure(Report& report, const Plan& plan, const Scene& scene, RedisWay& redis) {
  const int client_core = plan.cores[scene.placement.client];
  static_cast<void>(pin_this_thread(client_core));
  const Server server({config(plan, scene), true, false, ""});
  VisibleProfile profile("bench", server.directory(), scene.placement.client_shares());
  StreamWay stream(server.socket(), profile);
  HttpWay http(server.http_port(), profile);
  RawWay raw(visible_event_bytes(), scene.placement, plan.cores, scene.raw_waits);
  const Parties ours({server.holder("ingest"), server.holder("worker-0")});
  Way streamed("stream → libdeja, " + scene.name, ours, [&] { return stream.once(); });
  Way posted("HTTP → libdeja, " + scene.name, ours, [&] { return http.once(); });
  Way bare("raw way beside " + scene.name, raw.parties(), [&] { return raw.once(); });
  Way theirs("Redis XADD → XREAD → HSET → HGET, beside " + scene.name, {},
             [&] { return redis.once(); });
  ours.hold();
  bare.parties.hold();
  std::unique_ptr<Bound> bound;
  if (scene.spins() && plan.cores.size() > 1) bound = std::make_unique<Bound>(plan, scene);
  for (std::uint64_t round = 0; round < plan.rounds; ++round) {
    for (Way* way : {&streamed, &bare, &posted}) way->turn(plan);
    if (bound) bound->turn(plan);
    redis_turn(plan, redis, theirs);
    static_cast<void>(pin_this_thread(client_core));
  }
  ours.go();
  for (Way* way : {&streamed, &posted, &bare, &theirs}) tell(report, *way);
  compare(report, scene, streamed, posted, bare, theirs);
  if (bound) bound->tell_of(report, theirs);
}

void run(Report& report) {
  const Plan plan{usable_cores(), report.count("warm_up", 20, 2), report.count("rounds", 15, 1),
                  report.count("events", 300, 5), report.count("pause_us", 100, 100)};
  const std::size_t spread = plan.cores.size() >= 3 ? 4 : plan.cores.size() == 2 ? 0 : 3;
  const Placement placement = kPlacements[report.count("placement", spread, spread)];
  for (const unsigned place : {placement.client, placement.ingest, placement.worker}) {
    if (place >= plan.cores.size()) give_up("there are not so many cores for this placement");
  }
  report.plot("visible_latency", "From an event until another process sees it", "µs",
              "share of events", "x");
  RedisWay redis(plan.cores);
  measure(report, plan, {"spin", "spin", "spinning", RawWay::Waits::kSpinning, placement}, redis);
  measure(report, plan, {"adaptive", "adaptive", "asleep", RawWay::Waits::kAsleep, placement},
          redis);
  measure(report, plan,
          {"adaptive on one core", "adaptive", "asleep", RawWay::Waits::kAsleep, kPlacements[3]},
          redis);
  report.note("spin and adaptive, ours and the raw way: " + std::string(placement.name) +
              "; Redis's where it did best in each round");
  if (plan.cores.size() < 3) {
    report.note("there are " + std::to_string(plan.cores.size()) +
                " cores for three parties, so none has one of its own: the bound is ingest and "
                "worker in one process, which neither share a core nor hand over between two");
  }
  report.note(
      "one event at a time, all asleep before it but who spins, the client's core at rest; "
      "journal and write-behind ran");
}

}  // namespace
}  // namespace deja::bench

int main(int argument_count, char** arguments) {
  deja::bench::Report report("event_visible", argument_count, arguments);
  deja::bench::run(report);
  return 0;
}
