// From before an event is handed over until another process sees the changed profile: through a
// real `deja serve` with wait = "spin" and with wait = "adaptive", over its unix-socket stream and
// over a kept HTTP connection; beside a raw way with the same processes on the same cores that
// decodes and applies nothing (support/raw_way.h), and Redis's own way (support/redis_way.h) where
// its parties do best. In turns, one event at a time, everybody else at rest. On two cores the
// client, ingest and the worker are three parties: placement=N puts them elsewhere
// (support/parties.h).
#include <unistd.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/support/fused_appliance.h"
#include "bench/support/raw_way.h"
#include "bench/support/redis_way.h"
#include "bench/support/report.h"
#include "bench/support/samples.h"
#include "bench/support/server.h"
#include "bench/support/visible_profile.h"
#include "shm/segment.h"

namespace deja::bench {
namespace {

constexpr const char* kShop =
    "[events]\nview = { track = \"Product Viewed\", item = \"properties.product_id\" }\n"
    "[features]\nviews = { type = \"count\", event = \"view\" }\n"
    "views_1h = { type = \"count\", event = \"view\", window = \"1h\" }\n"
    "recent = { type = \"recent\", event = \"view\", of = \"item\", keep = 8 }\n";

struct Wait {
  const char* name;
  const char* raw;
  bool spins;
};
constexpr Wait kSpin{"spin", "spinning", true};
constexpr Wait kAdaptive{"adaptive", "asleep", false};

struct Plan {
  Placement placement;
  std::vector<int> cores;
  std::uint64_t warm_up, rounds, events, pause_us;
};

/// One way and what it took, in µs.
struct Way {
  std::string name;
  std::function<double()> once_ns;
  Parties parties;  // held while it is another's turn
  Samples all;
  std::vector<double> p50, p99;  // of each round

  void turn(const Plan& plan, bool keep) {
    parties.go();
    Samples round;
    for (std::uint64_t event = 0; event < plan.warm_up + plan.events; ++event) {
      usleep(static_cast<useconds_t>(plan.pause_us));
      const double took_us = once_ns() / 1000;
      if (event < plan.warm_up) continue;
      round.add(took_us);
      if (keep) all.add(took_us);
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
    tried.turn(plan, true);
    if (best.p50.size() == way.p50.size() || tried.p50.back() < best.p50.back()) best = tried;
  }
  way = best;
  static_cast<void>(pin_this_thread(plan.cores[plan.placement.client]));
}

std::string config(const Plan& plan, const Wait& wait) {
  const auto core = [&](unsigned place) { return std::to_string(plan.cores[place]); };
  return "profiles = 10_000\nshards = 16\n[cpu]\nwait = \"" + std::string(wait.name) +
         "\"\ningest = [" + core(plan.placement.ingest) + "]\nworkers = [" +
         core(plan.placement.worker) + "]\n" + kShop;
}

void draw(Report& report, const std::string& curve, Samples& samples) {
  for (int percent = 1; percent < 100; ++percent) {
    report.point("visible_latency", curve, samples.quantile(percent / 100.0), percent / 100.0);
  }
  for (const double share : {0.995, 0.999}) {
    report.point("visible_latency", curve, samples.quantile(share), share);
  }
}

void tell(Report& report, Way& way) {
  Samples p99;
  for (const double round : way.p99) p99.add(round);
  report.figure(way.name, "µs", way.all);
  report.figure(way.name + ": p99", "µs", p99);
  draw(report, way.name, way.all);
}

/// What ours takes with neither a core to be shared nor a way between cores: ingest and worker in
/// one process, the client on a core of its own.
class Bound {
 public:
  Bound(const Plan& plan, const Wait& wait)
      : appliance_(config(plan, wait), plan.cores.back()),
        profile_("test", appliance_.directory(), false),
        stream_(appliance_.socket(), profile_),
        way_{"stream → libdeja, spin, ingest and worker in one process",
             [this] { return stream_.once(); },
             appliance_.parties(),
             {},
             {},
             {}} {
    way_.parties.hold();
  }
  [[nodiscard]] Way& way() { return way_; }

 private:
  FusedAppliance appliance_;
  VisibleProfile profile_;
  StreamWay stream_;
  Way way_;
};

void compare(Report& report, const Plan& plan, const Wait& wait, RedisWay& redis) {
  static_cast<void>(pin_this_thread(plan.cores[plan.placement.client]));
  const Server server({config(plan, wait), true, false, ""});
  VisibleProfile profile("bench", server.directory(), plan.placement.client_shares());
  StreamWay stream(server.socket(), profile);
  HttpWay http(server.http_port(), profile);
  RawWay raw(visible_event_bytes(), plan.placement, plan.cores, wait.spins);
  const Parties ours({server.holder("ingest"), server.holder("worker-0")});
  const std::string waiting = std::string(", ") + wait.name;
  Way streamed{"stream → libdeja" + waiting, [&] { return stream.once(); }, ours, {}, {}, {}};
  Way posted{"HTTP → libdeja" + waiting, [&] { return http.once(); }, ours, {}, {}, {}};
  Way bare{
      std::string("raw way, ") + wait.raw, [&] { return raw.once(); }, raw.parties(), {}, {}, {}};
  Way theirs{std::string("Redis XADD → XREAD → HSET → HGET, beside ") + wait.name,
             [&] { return redis.once(); },
             {},
             {},
             {},
             {}};
  for (Way* way : {&streamed, &bare}) way->parties.hold();
  std::optional<Bound> bound;
  if (wait.spins && plan.cores.size() > 1) bound.emplace(plan, wait);
  for (std::uint64_t round = 0; round < plan.rounds; ++round) {
    for (Way* way : {&streamed, &bare, &posted}) way->turn(plan, true);
    if (bound) bound->way().turn(plan, true);
    redis_turn(plan, redis, theirs);
  }
  ours.go();
  for (Way* way : {&streamed, &posted, &bare, &theirs}) tell(report, *way);
  if (bound) {
    tell(report, bound->way());
    Samples apart = ratios(theirs.p50, bound->way().p50);
    report.at_least("p50: spin, a core for each (bound): Redis's way / ours", apart, 20);
  }

  Samples over_raw = ratios(streamed.p50, bare.p50);
  Samples below_redis = ratios(theirs.p50, streamed.p50);
  Samples tail = ratios(streamed.p99, theirs.p99);
  Samples more = differences(posted.p50, streamed.p50);
  const std::string of = std::string(": ") + wait.name;
  report.at_most("p50" + of + " / raw way " + wait.raw, over_raw, wait.spins ? 1.75 : 1.3);
  report.at_least("p50" + of + ": Redis's way / ours", below_redis, wait.spins ? 8 : 2.5);
  if (wait.spins) {
    report.at_most("p99" + of + " / Redis's way", tail, 0.2);
  } else {
    report.ratio("p99" + of + " / Redis's way", tail);
  }
  report.at_most("p50" + of + ": HTTP, kept connection, beyond the stream", more, 25, "µs");
}

void run(Report& report) {
  Plan plan{{},
            usable_cores(),
            report.count("warm_up", 20, 2),
            report.count("rounds", 15, 1),
            report.count("events", 300, 5),
            report.count("pause_us", 500, 500)};
  const std::size_t spread = plan.cores.size() >= 3 ? 4 : plan.cores.size() == 2 ? 0 : 3;
  plan.placement = kPlacements[report.count("placement", spread, spread)];
  for (const unsigned place :
       {plan.placement.client, plan.placement.ingest, plan.placement.worker}) {
    if (place >= plan.cores.size()) give_up("there are not so many cores for this placement");
  }
  report.plot("visible_latency", "From an event until another process sees it", "µs",
              "share of events", "x");
  RedisWay redis(plan.cores);
  compare(report, plan, kSpin, redis);
  compare(report, plan, kAdaptive, redis);
  report.note("who shares a core, ours and the raw way: " + std::string(plan.placement.name) +
              "; Redis's where it did best in each round");
  if (plan.cores.size() < 3) {
    report.note("there are " + std::to_string(plan.cores.size()) +
                " cores for three parties, so none has one of its own; the bound is ingest and "
                "worker in one process, which neither share a core nor hand over between two");
  }
  report.note("one event at a time, everybody at rest before it; journal and write-behind ran");
}

}  // namespace
}  // namespace deja::bench

int main(int argument_count, char** arguments) {
  deja::bench::Report report("event_visible", argument_count, arguments);
  deja::bench::run(report);
  return 0;
}
