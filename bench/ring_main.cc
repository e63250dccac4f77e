// The ring between two processes on two cores, beside rigtorp's design and boost's queue: how many
// records of 64 and 200 bytes a second, over how many are published at once, and how long a lone
// one takes there and back. Both sides copy: what comes out is the receiver's own. The peers run in
// turns with ours, on as many bytes. What was measured counts only where the cores were as far
// apart after it as before (bench/support/core_distance.h), and near and far are told apart.
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "bench/support/handover.h"
#include "bench/support/report.h"

namespace deja::bench {
namespace {

constexpr std::uint32_t kBatch = 32;
constexpr std::uint32_t kBatchMax = 256;
constexpr std::size_t kRoundsMin = 3;  // fewer say nothing
/// Some thousand records, as such queues are mostly made, and what both cores' caches hold; and the
/// product's ring.
constexpr std::uint64_t kQueueBytes = std::uint64_t{256} << 10U;
constexpr std::uint64_t kProductBytes = std::uint64_t{4} << 20U;
constexpr const char* kRigtorp = "rigtorp's design";

using Small = Record<64>;
using Large = Record<200>;
using Values = std::map<std::string, double>;  // of one round, by name

struct Seen {
  std::map<std::string, Samples> samples;
  std::size_t rounds = 0;
};

/// Measures in rounds, each of one thing with its peers, and sorts them by how far apart the cores
/// were.
class Rounds {
 public:
  Rounds(const TwoCores& cores, bool quick) : cores_(cores), quick_(quick) { look(); }

  template <typename Measure>
  void round(const std::string& what, Measure&& measure) {
    const double before_ns = now_ns_;
    Values values;
    measure(values);
    look();
    if (!quick_ && !agree(before_ns, now_ns_)) {
      ++left_out_;
      return;
    }
    Seen& seen = seen_[{what, now()}];
    ++seen.rounds;
    for (const auto& [name, value] : values) seen.samples[name].add(value);
  }
  /// nullptr: too few.
  [[nodiscard]] Seen* seen(const std::string& what, Distance distance) {
    Seen& seen = seen_[{what, distance}];
    return seen.rounds >= (quick_ ? 1 : kRoundsMin) ? &seen : nullptr;
  }
  [[nodiscard]] std::uint64_t left_out() const { return left_out_; }
  [[nodiscard]] Samples& line_ns(Distance distance) { return line_ns_[distance]; }

 private:
  void look() {
    now_ns_ = line_there_and_back_ns(cores_);
    line_ns_[now()].add(now_ns_);
  }
  /// A smoke run says nothing anyhow, and is to have one of everything wherever its cores are.
  [[nodiscard]] Distance now() const { return quick_ ? Distance::kNear : distance_of(now_ns_); }
  const TwoCores cores_;
  const bool quick_;
  double now_ns_ = 0;
  std::uint64_t left_out_ = 0;
  std::map<Distance, Samples> line_ns_;
  std::map<std::pair<std::string, Distance>, Seen> seen_;
};

std::string named(const char* lane, std::uint32_t batch) {
  return lane + (batch == 1 ? std::string() : ", " + std::to_string(batch) + " at a time");
}

/// The lanes of one size of record, two ways each.
template <typename T, std::uint64_t kCapacityBytes>
class Contest {
 public:
  Contest(std::string name, const TwoCores& cores) : name_(std::move(name)), cores_(cores) {}

  void rates(Rounds& rounds, std::uint64_t slices) {
    rounds.round(name_ + " rates", [&](Values& values) {
      rate(values, ours_there_, slices, 1);
      rate(values, rigtorp_there_, slices, 1);
      rate(values, ours_there_, slices, kBatch);
      rate(values, boost_there_, slices, 1);
      rate(values, boost_there_, slices, kBatch);
      const double best = std::max(values[kRigtorp], values["boost"]);
      values["batch / best"] = values[named("ours", kBatch)] / best;
      values["each / best"] = values["ours"] / best;
      values["batch / batch"] = values[named("ours", kBatch)] / values[named("boost", kBatch)];
    });
  }
  void trips(Rounds& rounds, std::uint64_t slices) {
    rounds.round(name_ + " trips", [&](Values& values) {
      trip(values, ours_there_, ours_back_, slices, 1);
      trip(values, rigtorp_there_, rigtorp_back_, slices, 1);
      trip(values, ours_there_, ours_back_, slices, kBatch);
      trip(values, boost_there_, boost_back_, slices, 1);
      values["ours / best"] =
          values[named("ours", kBatch)] / std::min(values[kRigtorp], values["boost"]);
      values["batch / each"] = values[named("ours", kBatch)] / values["ours"];
    });
  }
  void batches(Rounds& rounds, std::uint64_t slices) {
    rounds.round(name_ + " batches", [&](Values& values) {
      for (std::uint32_t batch = 1; batch <= kBatchMax; batch *= 2) {
        rate(values, ours_there_, slices, batch);
      }
    });
  }

  /// `target`: what 32 at a time have to be of the best peer's; 0: nothing.
  void tell_rates(Report& report, Rounds& rounds, Distance distance, double target) {
    Seen* seen = rounds.seen(name_ + " rates", distance);
    if (seen == nullptr) return;
    const std::string where = name_ + ", " + name_of(distance) + ": ";
    for (const char* lane : {"ours", kRigtorp, "boost"}) {
      for (const std::uint32_t batch : {1U, kBatch}) {
        if (lane == kRigtorp && batch != 1) continue;
        report.figure(where + named(lane, batch), "M/s", seen->samples[named(lane, batch)]);
      }
    }
    const std::string ratio = where + named("ours", kBatch) + " / best peer";
    if (target == 0) {
      report.ratio(ratio, seen->samples["batch / best"]);
    } else {
      report.at_least(ratio, seen->samples["batch / best"], target);
    }
    report.ratio(where + "ours, publishing each / best peer", seen->samples["each / best"]);
    report.ratio(where + "ours / boost, both 32 at a time", seen->samples["batch / batch"]);
  }
  void tell_trips(Report& report, Rounds& rounds, Distance distance, double target) {
    Seen* seen = rounds.seen(name_ + " trips", distance);
    if (seen == nullptr) return;
    const std::string where = name_ + ", " + name_of(distance) + ": there and back, ";
    report.figure(where + "ours", "ns", seen->samples["ours"]);
    report.figure(where + "ours, batches of 32", "ns", seen->samples[named("ours", kBatch)]);
    report.figure(where + kRigtorp, "ns", seen->samples[kRigtorp]);
    report.figure(where + "boost", "ns", seen->samples["boost"]);
    report.at_most(where + "ours / best peer", seen->samples["ours / best"], target);
    report.ratio(where + "batches of 32 / of 1", seen->samples["batch / each"]);
  }
  void draw(Report& report, Rounds& rounds, Distance distance) {
    const std::string where = name_ + ", " + name_of(distance);
    if (Seen* seen = rounds.seen(name_ + " batches", distance); seen != nullptr) {
      for (std::uint32_t batch = 1; batch <= kBatchMax; batch *= 2) {
        report.point("ring_batch", "ours, " + where, batch,
                     seen->samples[named("ours", batch)].median());
      }
    }
    if (Seen* seen = rounds.seen(name_ + " rates", distance); seen != nullptr) {
      for (const std::uint32_t batch : {1U, kBatchMax}) {
        report.point("ring_batch", std::string(kRigtorp) + ", " + where, batch,
                     seen->samples[kRigtorp].median());
      }
    }
  }

 private:
  template <typename Lane>
  void rate(Values& values, Lane& lane, std::uint64_t slices, std::uint32_t batch) {
    values[named(Lane::kName, batch)] = million_per_s(lane, cores_, slices, batch);
  }
  template <typename Lane>
  void trip(Values& values, Lane& there, Lane& back, std::uint64_t slices, std::uint32_t batch) {
    values[named(Lane::kName, batch)] =
        there_and_back_ns(there, back, some_record<T>(), cores_, slices, batch);
  }

  const std::string name_;
  const TwoCores cores_;
  OurLane<T, kCapacityBytes> ours_there_, ours_back_;
  CachedPositionLane<T, kCapacityBytes> rigtorp_there_, rigtorp_back_;
  BoostLane<T, kCapacityBytes> boost_there_, boost_back_;
};

int run(Report& report) {
  const TwoCores cores = two_cores();
  if (cores.there < 0) {
    report.note("there is one core alone: nothing crosses from one to another");
    return report.quick() ? 0 : 1;
  }
  const std::uint64_t count = report.count("rounds", 15, 1);
  const std::uint64_t slices = report.count("slices", 20, 1);
  Contest<Small, kQueueBytes> small("64 B", cores);
  Contest<Large, kQueueBytes> large("200 B", cores);
  Contest<Small, kProductBytes> small_product("64 B in 4 MiB", cores);
  Contest<Large, kProductBytes> large_product("200 B in 4 MiB", cores);
  Rounds rounds(cores, report.quick());
  for (std::uint64_t number = 0; number < count; ++number) {
    small.rates(rounds, slices);
    small.trips(rounds, 4 * slices);
    large.rates(rounds, slices);
    large.trips(rounds, 4 * slices);
    small.batches(rounds, slices);
    large.batches(rounds, slices);
    small_product.rates(rounds, (slices + 3) / 4);
    large_product.rates(rounds, (slices + 3) / 4);
  }
  for (const Distance distance : {Distance::kNear, Distance::kFar}) {
    const bool near = distance == Distance::kNear;
    if (rounds.line_ns(distance).count() == 0) {
      report.note(std::string("cores ") + name_of(distance) + ": not seen in this run");
      continue;
    }
    report.figure(std::string("a cache line there and back, ") + name_of(distance), "ns",
                  rounds.line_ns(distance));
    small.tell_rates(report, rounds, distance, near ? 2.5 : 1.8);
    large.tell_rates(report, rounds, distance, near ? 2.5 : 1.8);
    small.tell_trips(report, rounds, distance, near ? 0.7 : 0.9);
    large.tell_trips(report, rounds, distance, near ? 0.7 : 0.9);
    small_product.tell_rates(report, rounds, distance, 0);
    large_product.tell_rates(report, rounds, distance, 0);
    small.draw(report, rounds, distance);
    large.draw(report, rounds, distance);
  }
  report.note("queues of 256 KiB but where 4 MiB, the product's ring, is said; both sides copy");
  report.note("left out, since the cores were not as far apart after as before: " +
              std::to_string(rounds.left_out()) + " of " + std::to_string(8 * count));
  report.note(
      "while a lone record is on its way nothing else is sent, with batches of 32 as well: "
      "one that waited for its batch to fill would never come back");
  report.plot("ring_batch", "The ring between two processes, over what is published at once",
              "records published at once", "million records/s", "x");
  return 0;
}

}  // namespace
}  // namespace deja::bench

int main(int argument_count, char** arguments) {
  deja::bench::Report report("ring", argument_count, arguments);
  return deja::bench::run(report);
}
