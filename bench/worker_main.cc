// A worker alone: records are in its ring already, 20 features, each event with an id of its own,
// logged, applied and published. Its cost per event as the batch, the features and the users grow.
#include <cstdio>
#include <string>
#include <vector>

#include "bench/support/bare_versions.h"
#include "bench/support/report.h"
#include "bench/support/samples.h"
#include "bench/support/worker_rig.h"

namespace deja::bench {
namespace {

class Bench {
 public:
  explicit Bench(Report& report)
      : report_(report),
        users_(report.count("users", 1'000'000, 500)),
        events_(report.count("events", 250'000, 500)),
        rounds_(static_cast<int>(report.count("rounds", 9, 1))) {}

  void rate() {
    WorkerRig rig(users_, kBenchFeatures);
    const std::uint32_t block_bytes = rig.fixture().segment().geometry().block_bytes();
    BareVersions bare(users_, block_bytes);
    Samples million_per_s, bare_million_per_s, of_bare;
    Visitors visitors(users_, true);
    warm(rig, users_);
    for (int round = 0; round < rounds_; ++round) {
      million_per_s.add(1e3 / cost_ns(rig, visitors, 0));
      std::vector<std::uint32_t> users(events_);
      for (std::uint32_t& user : users) user = static_cast<std::uint32_t>(visitors.next());
      const auto record = static_cast<std::uint32_t>(rig.record(number_++, 0).size());
      bare_million_per_s.add(1e3 / bare.cost_ns(users, record));
      of_bare.add(million_per_s.last() / bare_million_per_s.last());
    }
    report_.figure("profile", "B", block_bytes);
    report_.at_least("a worker alone, zipf, 20 features", million_per_s, 3, "M/s");
    report_.figure("the limit: record logged, version copied, no work", "M/s", bare_million_per_s);
    report_.ratio("a worker / the limit", of_bare);
    if (report_.count("plots", 1, 1) == 0) return;
    for (std::uint64_t batch = 1; batch <= 1024; batch *= 4) {
      Samples cost;
      for (int round = 0; round < 3; ++round) cost.add(cost_ns(rig, visitors, batch));
      report_.point("worker_batch", "20 features", static_cast<double>(batch), cost.median());
    }
    report_.plot("worker_batch", "A worker's cost per event, over what it finds at once",
                 "records found", "ns per event", "x");
  }

  void features() {
    for (const std::uint32_t count : {1U, 5U, 10U, 20U, 35U, 50U}) {
      std::string text = "[features]\n";
      // Like the shop's: mostly windows and counts, some texts.
      static constexpr const char* kKinds[] = {
          R"({ type = "count", event = "view", window = "1h" })",
          R"({ type = "sum", event = "view", of = "price" })",
          R"({ type = "last", event = "view", of = "item", bytes = 16 })",
          R"({ type = "max", event = "view", of = "price" })",
          R"({ type = "recent", event = "view", of = "item", keep = 4, bytes = 16 })"};
      for (std::uint32_t number = 0; number < count; ++number) {
        text += "f" + std::to_string(number) + " = " + kKinds[number % 5] + "\n";
      }
      const std::uint64_t users = std::min<std::uint64_t>(users_, 100'000);
      WorkerRig rig(users, text);
      Visitors visitors(users, true);
      warm(rig, users);
      Samples cost;
      for (int round = 0; round < 3; ++round) cost.add(cost_ns(rig, visitors, 0));
      report_.point("worker_features", "100,000 users, zipf", count, cost.median());
    }
    report_.plot("worker_features", "A worker's cost per event, over the features it feeds",
                 "features", "ns per event", "");
  }

  void users() {
    for (std::uint64_t users = std::min<std::uint64_t>(users_, 10'000); users <= users_ * 10;
         users *= 10) {
      WorkerRig rig(users, kBenchFeatures);
      warm(rig, users);
      for (const bool zipf : {true, false}) {
        Visitors visitors(users, zipf);
        Samples cost;
        for (int round = 0; round < 3; ++round) cost.add(cost_ns(rig, visitors, 0));
        report_.point("worker_users", zipf ? "zipf" : "uniform", static_cast<double>(users),
                      cost.median());
      }
      if (report_.quick()) break;
    }
    report_.plot("worker_users", "A worker's cost per event, over the users there are", "users",
                 "ns per event", "x");
  }

 private:
  /// Everybody has a profile.
  void warm(WorkerRig& rig, std::uint64_t users) {
    for (std::uint64_t user = 0; user < users; ++user) {
      const std::vector<std::uint8_t> bytes = rig.record(number_++, user);
      if (rig.put(bytes)) continue;
      rig.publish();
      rig.run(true);
      if (!rig.put(bytes)) give_up("a ring is full");
    }
    rig.publish();
    rig.run(true);
  }
  /// Nanoseconds of the worker per event; `batch` records are found at a time, 0: all.
  double cost_ns(WorkerRig& rig, Visitors& visitors, std::uint64_t batch) {
    const std::uint64_t before = rig.applied();
    const bool own_time = batch == 0 || batch > 64;
    double spent = 0;
    std::uint64_t taken = 0;
    for (; taken < events_; ++taken) {
      const std::vector<std::uint8_t> bytes = rig.record(number_++, visitors.next());
      if (!rig.put(bytes)) {
        rig.publish();
        spent += rig.run(own_time);
        if (!rig.put(bytes)) give_up("a ring is full");
      }
      if (batch != 0 && taken % batch == batch - 1) {
        rig.publish();
        spent += rig.run(own_time);
      }
    }
    rig.publish();
    spent += rig.run(own_time);
    if (rig.applied() - before != taken) give_up("not every event was applied");
    return spent / static_cast<double>(taken);
  }

  Report& report_;
  std::uint64_t users_;
  std::uint64_t events_;
  int rounds_;
  std::uint64_t number_ = 0;
};

}  // namespace
}  // namespace deja::bench

int main(int argument_count, char** arguments) {
  deja::bench::Report report("worker", argument_count, arguments);
  deja::bench::Bench bench(report);
  bench.rate();
  if (report.count("plots", 1, 1) == 0) return 0;
  bench.features();
  bench.users();
  return 0;
}
