// What it costs to be watched: the stream's rate (bench/throughput_main.cc) with nobody watching
// and with everybody (bench/support/observers.h), who take their CPU from the same cores, in turns.
#include <cstdint>
#include <map>
#include <string>

#include "bench/support/loaded_appliance.h"
#include "bench/support/observers.h"
#include "bench/support/report.h"
#include "bench/support/samples.h"
#include "bench/support/users.h"
#include "shm/base/clock.h"

namespace deja::bench {
namespace {

void measure(Report& report) {
  const std::uint64_t users = report.count("users", 1'000'000, 500);
  // The journal keeps all of them, 190 bytes each, in memory: twice as many for each round.
  const std::uint64_t events = report.count("events", 2'000'000, 2'048);
  const std::uint64_t rounds = report.count("rounds", 11, 1);
  Visitors visitors(users, true);
  ApplianceOptions options;
  options.users = users;
  options.console = true;
  LoadedAppliance deja(options, visitors);
  Samples alone;
  Samples watched;
  Samples ratios;
  std::map<std::string, Samples> part_ratios;
  std::map<std::string, Samples> observer_shares;
  Samples traced_share;
  const auto run_alone = [&] { return deja.stream(events); };
  const auto run_watched = [&] {
    const Observers observers(deja.server());
    const auto before = observers.cpu_ns();
    const std::int64_t begin = steady_ns();
    const Pace pace = deja.stream(events);
    const auto took_ns = static_cast<double>(steady_ns() - begin);
    for (const auto& [name, spent_ns] : observers.cpu_ns()) {
      observer_shares[name].add(1e2 * static_cast<double>(spent_ns - before.at(name)) / took_ns);
    }
    traced_share.add(1e2 * static_cast<double>(observers.traced()) / static_cast<double>(events));
    return pace;
  };
  for (std::uint64_t round = 0; round < rounds; ++round) {
    // Who goes first takes turns too: a host gets slower and faster within seconds.
    const bool first = round % 2 == 0;
    const Pace before = first ? run_alone() : run_watched();
    const Pace after = first ? run_watched() : run_alone();
    const Pace& without = first ? before : after;
    const Pace& with = first ? after : before;
    alone.add(without.million_per_s);
    watched.add(with.million_per_s);
    ratios.add(with.million_per_s / without.million_per_s);
    for (const auto& [name, part_ns] : with.parts_ns) {
      part_ratios[name].add(part_ns / without.parts_ns.at(name));
    }
  }
  report.figure("stream, nobody watches", "M/s", alone);
  report.figure("stream, everybody watches", "M/s", watched);
  report.figure("events that deja trace told of", "%", traced_share);
  report.at_least("rate: watched / alone", ratios, 0.97);
  for (auto& [name, samples] : part_ratios) {
    report.ratio("CPU of an event, " + name + "'s: watched / alone", samples);
  }
  for (auto& [name, samples] : observer_shares) {
    report.figure("CPU that " + name + " takes, of one core", "%", samples);
  }
  report.note("/metrics each second, deja top, deja trace of 1 % of the events as JSON");
}

}  // namespace
}  // namespace deja::bench

int main(int argument_count, char** arguments) {
  deja::bench::Report report("observation", argument_count, arguments);
  deja::bench::measure(report);
  return 0;
}
