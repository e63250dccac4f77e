// How long a killed worker with a million profiles is away: from SIGKILL until an event sent right
// after it is acknowledged, so applied and visible. `deja serve` with one worker, all id windows
// full. A renderer reads on meanwhile: what its reads take and whether one fails.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "bench/support/fill.h"
#include "bench/support/redis_peer.h"
#include "bench/support/report.h"
#include "bench/support/samples.h"
#include "bench/support/server.h"
#include "bench/support/users.h"
#include "ingest/producer.h"
#include "shm/base/clock.h"
#include "shm/deja.h"
#include "shm/process_file.h"
#include "shm/segment.h"

namespace deja::bench {
namespace {

struct Load {
  explicit Load(const Report& report)
      : kills(report.count("kills", 50, 1)),
        profiles(report.count("profiles", 1'000'000, 1000)),
        events(report.count("events", 7'000'000, 2000)) {}
  std::uint64_t kills;
  std::uint64_t profiles;
  std::uint64_t events;
};

/// Reads users one after the other, some 20,000 a second, until told to stop.
class Renderer {
 public:
  Renderer(const Server& server, std::uint64_t profiles) : profiles_(profiles) {
    if (deja_open("bench", server.directory().c_str(), &appliance_) != DEJA_OK) {
      give_up("can't open the appliance");
    }
    thread_ = std::thread([this] { read_on(); });
  }
  ~Renderer() {
    stop();
    deja_close(appliance_);
  }
  Renderer(const Renderer&) = delete;
  Renderer& operator=(const Renderer&) = delete;

  void stop() {
    stop_.store(true, std::memory_order_relaxed);
    if (thread_.joinable()) thread_.join();
  }
  /// After stop().
  Samples& times_ns() { return times_ns_; }
  [[nodiscard]] std::uint64_t failed() const { return failed_; }

 private:
  void read_on() {
    std::vector<std::uint64_t> memory(deja_profile_bytes(appliance_) / 8);
    auto* profile = reinterpret_cast<deja_profile*>(memory.data());
    for (std::uint64_t number = 0; !stop_.load(std::memory_order_relaxed); number += 7919) {
      const std::string user = user_name(number % profiles_);
      const std::int64_t begin_ns = steady_ns();
      const deja_status status = deja_get(
          appliance_, deja_user(user.data(), static_cast<std::uint32_t>(user.size())), profile);
      times_ns_.add(static_cast<double>(steady_ns() - begin_ns));
      if (status != DEJA_OK) ++failed_;
      usleep(50);
    }
  }

  deja_appliance* appliance_ = nullptr;
  std::uint64_t profiles_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
  Samples times_ns_;
  std::uint64_t failed_ = 0;
};

std::unique_ptr<Producer> fill(const Server& server, const Load& load) {
  ProducerEvent event;
  event.name = "Product Viewed";
  const std::int64_t begin_ns = steady_ns();
  std::unique_ptr<Producer> producer = fill(server, event, load.events, load.profiles);
  std::printf("restart: %llu events for %llu profiles in %.1f s\n",
              static_cast<unsigned long long>(load.events),
              static_cast<unsigned long long>(load.profiles),
              static_cast<double>(steady_ns() - begin_ns) / 1e9);
  return producer;
}

/// What the kernel counts of a process's main thread: on a core, and waiting for one.
struct CoreTime {
  double used_ns = 0;
  double waited_ns = 0;
};
CoreTime core_time_of(std::int64_t pid) {
  CoreTime time;
  std::ifstream("/proc/" + std::to_string(pid) + "/schedstat") >> time.used_ns >> time.waited_ns;
  return time;
}

ProcessView look(const std::string& path) {
  auto view = ProcessView::read(path);
  if (!view.ok()) give_up("can't read the worker's process file");
  return std::move(*view);
}

void run(Report& report) {
  const Load load(report);
  const RedisPeer redis;  // of no account here: flushing is put off
  const Server server("profiles = " + std::to_string(load.profiles) +
                      "\nshards = 64\nhuge_pages = \"off\"\n"
                      "[cpu]\nworkers = 1\ningest = 1\n"
                      "[redis]\nurl = \"unix://" +
                      redis.socket() +
                      "\"\nflush_every = \"1h\"\n"
                      "[events]\nview = { track = \"Product Viewed\" }\n"
                      "[features]\nviews = { type = \"count\", event = \"view\" }\n"
                      "views_1h = { type = \"count\", event = \"view\", window = \"1h\" }\n");
  auto segment = Segment::open(server.segment());
  if (!segment.ok()) give_up(segment.error().message().c_str());
  const std::string worker_file = segment->path("process-worker-0");
  const std::unique_ptr<Producer> producer = fill(server, load);

  Renderer renderer(server, load.profiles);
  Samples away_ms;
  Samples to_start_ms;
  Samples to_serve_ms;
  Samples used_ms;
  Samples waited_ms;
  for (std::uint64_t number = 0; number < load.kills; ++number) {
    usleep(1'100'000);  // a worker that lived for a second is started again at once
    ProducerEvent event;
    event.name = "Product Viewed";
    event.user_id = user_name(number);
    const pid_t pid = server.holder("worker-0");
    const std::int64_t begin_ns = steady_ns();
    const std::int64_t begin_us = wall_us();
    if (pid <= 0 || kill(pid, SIGKILL) != 0) give_up("there is no worker");
    (void)producer->send(event);
    if (!producer->flush(30'000'000)) give_up("the worker did not come back");
    away_ms.add(static_cast<double>(steady_ns() - begin_ns) / 1e6);
    const std::int64_t served_us = wall_us();
    const ProcessView view = look(worker_file);
    const CoreTime time = core_time_of(view.pid);
    used_ms.add(time.used_ns / 1e6);
    waited_ms.add(time.waited_ns / 1e6);
    to_start_ms.add(static_cast<double>(view.started_us - begin_us) / 1e3);
    to_serve_ms.add(static_cast<double>(served_us - view.started_us) / 1e3);
  }
  renderer.stop();
  // The target is of p99 and not of the median.
  Samples away_p99_ms;
  away_p99_ms.add(away_ms.quantile(0.99));
  report.figure("killed → the next event acknowledged", "ms", away_ms);
  report.at_most("p99: killed → the next event acknowledged", away_p99_ms, 200, "ms");
  report.figure("  of it until the successor has mapped its files", "ms", to_start_ms);
  report.figure("  of it sweep, ids, redo, event", "ms", to_serve_ms);
  report.figure("the successor on a core until then", "ms", used_ms);
  report.figure("the successor waiting for a core", "ms", waited_ms);
  report.figure("a renderer's get meanwhile", "ns", renderer.times_ns());
  report.figure("p99: a renderer's get meanwhile", "ns", renderer.times_ns().quantile(0.99));
  report.figure("reads of the renderer that failed", "", static_cast<double>(renderer.failed()));
  report.note("kills of the one worker of 64 shards; write-behind put off, the journal runs");
  server.kill_all();
}

}  // namespace
}  // namespace deja::bench

int main(int argument_count, char** arguments) {
  deja::bench::Report report("restart", argument_count, arguments);
  deja::bench::run(report);
  return 0;
}
