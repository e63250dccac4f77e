// What waiting costs: the CPU that each process of a `deja serve` uses while nobody comes, and what
// the first event after an idle second waits until it is visible, beside events that follow one
// another closely. The appliance is as its config makes it by itself: unpinned, wait = "adaptive",
// with HTTP, console and a Redis of its own; with wait = "spin" beside it.
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bench/support/report.h"
#include "bench/support/samples.h"
#include "bench/support/server.h"
#include "bench/support/visible_profile.h"
#include "shm/base/clock.h"

namespace deja::bench {
namespace {

constexpr unsigned kSettleUs = 1'000'000;  // after the start, and after events: journal and Redis

/// Nanoseconds that all threads of a process have been on a core, from the scheduler's own books.
double cpu_ns(pid_t pid) {
  double sum = 0;
  std::error_code gone;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", gone)) {
    double ran_ns = 0;
    if (std::ifstream(task.path() / "schedstat") >> ran_ns) sum += ran_ns;
  }
  return sum;
}

pid_t private_redis(const Server& server) {
  const std::string task = "/proc/" + std::to_string(server.pid()) + "/task";
  for (const auto& thread : std::filesystem::directory_iterator(task)) {
    std::ifstream children(thread.path() / "children");
    for (pid_t child = 0; children >> child;) {
      std::string name;
      std::ifstream("/proc/" + std::to_string(child) + "/comm") >> name;
      if (name == "redis-server") return child;
    }
  }
  return 0;
}

std::vector<std::pair<std::string, pid_t>> processes_of(const Server& server) {
  std::vector<std::pair<std::string, pid_t>> all;
  for (const char* name : {"ingest", "worker-0", "keeper", "console"}) {
    all.emplace_back(name, server.holder(name));
  }
  all.emplace_back("supervisor", server.pid());
  all.emplace_back("private Redis", private_redis(server));
  for (const auto& [name, pid] : all) {
    if (pid <= 0) give_up(("there is no " + name).c_str());
  }
  return all;
}

/// Per cent of a core, by process, over some seconds in which nothing comes.
std::map<std::string, Samples> watch(const Server& server, std::uint64_t rounds,
                                     std::uint64_t watch_ms) {
  std::map<std::string, Samples> percent;
  const auto processes = processes_of(server);
  usleep(kSettleUs);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    std::map<std::string, double> before;
    for (const auto& [name, pid] : processes) before[name] = cpu_ns(pid);
    const std::int64_t begin_ns = steady_ns();
    usleep(static_cast<useconds_t>(watch_ms * 1000));
    const auto passed_ns = static_cast<double>(steady_ns() - begin_ns);
    for (const auto& [name, pid] : processes) {
      percent[name].add((cpu_ns(pid) - before[name]) / passed_ns * 100);
    }
  }
  return percent;
}

std::string config(const std::string& wait) {
  return "profiles = 100_000\nshards = 16\n[cpu]\nwait = \"" + wait +
         "\"\n[events]\nview = { track = \"Product Viewed\", item = \"properties.product_id\" }\n"
         "[features]\nviews = { type = \"count\", event = \"view\" }\n"
         "views_1h = { type = \"count\", event = \"view\", window = \"1h\" }\n"
         "recent = { type = \"recent\", event = \"view\", of = \"item\", keep = 8 }\n";
}

void cost_of(Report& report, const std::string& wait) {
  const bool spins = wait == "spin";
  const Server server({config(wait), true, true, ""});
  const std::uint64_t rounds = report.count("rounds", 10, 1);
  auto percent = watch(server, rounds, report.count("watch_ms", 2000, 300));
  const auto of = [&](const std::string& process) {
    return "CPU at rest, " + wait + ": " + process;
  };
  for (const char* process : {"ingest", "worker-0", "keeper", "console", "supervisor"}) {
    if (spins) {
      report.figure(of(process), "%", percent[process]);
    } else {
      report.at_most(of(process), percent[process], 1, "%");
    }
  }
  report.figure(of("private Redis"), "%", percent["private Redis"]);

  VisibleProfile profile("bench", server.directory(), true);
  StreamWay stream(server.socket(), profile);
  const std::uint64_t events = report.count("events", 30, 1);
  Samples first;
  Samples close;
  for (std::uint64_t event = 0; event < events; ++event) {
    usleep(kSettleUs);
    first.add(stream.once() / 1000);
    for (int next = 0; next < 30; ++next) {
      const double took_us = stream.once() / 1000;
      if (next >= 10) close.add(took_us);
    }
  }
  const auto tell = [&](const std::string& name, Samples& samples) {
    report.figure("event → visible, " + wait + ": " + name, "µs", samples);
    report.figure("event → visible, " + wait + ": " + name + ", p99", "µs", samples.quantile(0.99));
  };
  tell("first after an idle second", first);
  tell("right after the last one's ack", close);
}

}  // namespace
}  // namespace deja::bench

int main(int argument_count, char** arguments) {
  deja::bench::Report report("idle", argument_count, arguments);
  deja::bench::cost_of(report, "adaptive");
  deja::bench::cost_of(report, "spin");
  report.note(
      "unpinned; journal and write-behind ran, and had nothing to do; the acks are applied");
  return 0;
}
