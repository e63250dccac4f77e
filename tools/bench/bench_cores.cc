#include "tools/bench/bench_cores.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <utility>

#include "ring/spsc_ring.h"
#include "shm/base/affinity.h"
#include "shm/base/cache_line.h"
#include "shm/base/check.h"
#include "shm/base/clock.h"

namespace deja {
namespace {

constexpr std::uint32_t kRecordBytes = 200;
constexpr int kPublishEvery = 32;
constexpr std::int64_t kPieceNs = 1'000'000;  // shorter than the scheduler's, as in bench_table.cc
constexpr std::uint64_t kRingCapacity = std::uint64_t{1} << 20U;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

struct alignas(kCacheLineBytes) Line {
  std::atomic<std::uint64_t> value{0};
};

/// This thread on one core, another one on the second that runs `body(stop)` until told to stop.
class TwoCores {
 public:
  template <typename Body>
  TwoCores(const std::vector<int>& cores, Body body) {
    CHECK(sched_getaffinity(0, sizeof before_, &before_) == 0);
    static_cast<void>(pin_this_thread(cores[0]));
    other_ = std::thread([this, body = std::move(body), core = cores[1]] {
      static_cast<void>(pin_this_thread(core));
      body(stop_);
    });
  }
  ~TwoCores() {
    stop_.store(true, std::memory_order_relaxed);
    other_.join();
    static_cast<void>(sched_setaffinity(0, sizeof before_, &before_));
  }
  TwoCores(const TwoCores&) = delete;
  TwoCores& operator=(const TwoCores&) = delete;

 private:
  cpu_set_t before_{};
  std::atomic<bool> stop_{false};
  std::thread other_;
};

/// A ring in memory that could be shared.
class Ring {
 public:
  Ring() {
    memory_ = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory_ != MAP_FAILED);
    format_ring(memory_, kRingCapacity);
  }
  ~Ring() { munmap(memory_, bytes()); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  [[nodiscard]] RingProducer producer() { return {memory_, bytes(), &consumed_.value}; }
  [[nodiscard]] RingConsumer consumer() { return {memory_, bytes(), &consumed_.value}; }

 private:
  static std::uint64_t bytes() { return ring_file_bytes(kRingCapacity); }
  void* memory_;
  Line consumed_;
};

bool put(RingProducer& ring, const std::uint8_t* record) {
  std::uint8_t* claimed = ring.claim(kRecordBytes);
  if (claimed == nullptr) return false;
  std::memcpy(claimed, record, kRecordBytes);
  static_cast<void>(ring.commit(kRecordBytes, 1));
  return true;
}

/// Copies the next record out, as a consumer does that trusts nobody.
bool take(RingConsumer& ring, std::uint8_t* record) {
  const RingRecord next = ring.next();
  if (next.outcome != RingRecord::Outcome::kRecord) return false;
  std::memcpy(record, next.payload, kRecordBytes);
  asm volatile("" : : "r"(record) : "memory");
  return true;
}

/// Times `there_and_back` one by one for so long; the median of it, in ns.
template <typename ThereAndBack>
double round_trip_ns(std::int64_t for_ns, ThereAndBack&& there_and_back) {
  constexpr int kAtOnce = 64;  // a reading of the clock is not small against a round trip
  std::vector<double> times_ns;
  const std::int64_t end_ns = steady_ns() + for_ns;
  for (std::int64_t begin_ns = steady_ns(); begin_ns < end_ns;) {
    for (int trip = 0; trip < kAtOnce; ++trip) there_and_back();
    const std::int64_t now_ns = steady_ns();
    times_ns.push_back(static_cast<double>(now_ns - begin_ns) / kAtOnce);
    begin_ns = now_ns;
  }
  return median(times_ns);
}

double line_round_trip_ns(const std::vector<int>& cores, std::int64_t for_ns) {
  Line there;
  Line back;
  const TwoCores both(cores, [&](const std::atomic<bool>& stop) {
    while (!stop.load(std::memory_order_relaxed)) {
      back.value.store(there.value.load(std::memory_order_acquire), std::memory_order_release);
    }
  });
  std::uint64_t number = 0;
  return round_trip_ns(for_ns, [&] {
    there.value.store(++number, std::memory_order_release);
    while (back.value.load(std::memory_order_acquire) != number) pause();
  });
}

double ring_round_trip_ns(const std::vector<int>& cores, std::int64_t for_ns) {
  Ring there;
  Ring back;
  RingConsumer far_in = there.consumer();
  RingProducer far_out = back.producer();
  const TwoCores both(cores, [&](const std::atomic<bool>& stop) {
    std::uint8_t record[kRecordBytes];
    while (!stop.load(std::memory_order_relaxed)) {
      if (!take(far_in, record)) continue;
      far_in.release(far_in.read_position());
      CHECK(put(far_out, record));
      far_out.publish();
    }
  });
  RingProducer out = there.producer();
  RingConsumer in = back.consumer();
  std::uint8_t record[kRecordBytes] = {};
  return round_trip_ns(for_ns, [&] {
    CHECK(put(out, record));
    out.publish();
    while (!take(in, record)) pause();
    in.release(in.read_position());
  });
}

double ring_million_per_s(const std::vector<int>& cores, std::int64_t for_ns) {
  Ring ring;
  RingConsumer in = ring.consumer();
  Line taken;
  const TwoCores both(cores, [&](const std::atomic<bool>& stop) {
    std::uint8_t record[kRecordBytes];
    std::uint64_t count = 0;
    while (!stop.load(std::memory_order_relaxed)) {
      int at = 0;
      while (at < kPublishEvery && take(in, record)) ++at;
      if (at == 0) continue;
      in.release(in.read_position());
      count += static_cast<std::uint64_t>(at);
      taken.value.store(count, std::memory_order_relaxed);
    }
  });
  RingProducer out = ring.producer();
  const std::uint8_t record[kRecordBytes] = {};
  const auto put_some = [&] {
    for (int batch = 0; batch < 64; ++batch) {
      int at = 0;
      while (at < kPublishEvery && put(out, record)) ++at;
      if (at == 0) pause();
      out.publish();
    }
  };
  while (taken.value.load(std::memory_order_relaxed) == 0) put_some();  // the other one is there
  std::vector<double> million_per_s;
  const std::int64_t end_ns = steady_ns() + for_ns;
  for (std::int64_t begin_ns = steady_ns(); begin_ns < end_ns;) {
    const std::uint64_t before = taken.value.load(std::memory_order_relaxed);
    std::int64_t now_ns = begin_ns;
    while (now_ns - begin_ns < kPieceNs) {
      put_some();
      now_ns = steady_ns();
    }
    million_per_s.push_back(
        1e3 * static_cast<double>(taken.value.load(std::memory_order_relaxed) - before) /
        static_cast<double>(now_ns - begin_ns));
    begin_ns = now_ns;
  }
  return median(million_per_s);
}

/// From a rung bell until the sleeper runs, in ns.
std::vector<double> wake_ups_ns(const std::vector<int>& cores, ScratchAppliance& appliance,
                                int count) {
  std::atomic<std::int64_t> rung_ns{0};  // 0: taken
  std::atomic<std::int64_t> woken_ns{0};
  std::vector<double> times_ns;
  const TwoCores both(cores, [&](const std::atomic<bool>& stop) {
    while (!stop.load(std::memory_order_relaxed)) {
      appliance.bell().announce_sleep();
      if (rung_ns.load(std::memory_order_acquire) != 0) {
        appliance.bell().cancel_sleep();
      } else {
        appliance.bell().sleep();
      }
      const std::int64_t begin_ns = rung_ns.load(std::memory_order_acquire);
      if (begin_ns == 0) continue;
      woken_ns.store(steady_ns() - begin_ns, std::memory_order_relaxed);
      rung_ns.store(0, std::memory_order_release);
    }
  });
  for (int wake_up = 0; wake_up < count; ++wake_up) {
    usleep(300);  // the other one is asleep, and its core at rest
    rung_ns.store(steady_ns(), std::memory_order_release);
    const bool rang = appliance.rope().ring_if_asleep();
    while (rung_ns.load(std::memory_order_acquire) != 0) pause();
    if (rang) times_ns.push_back(static_cast<double>(woken_ns.load(std::memory_order_relaxed)));
  }
  return times_ns;
}

}  // namespace

void measure_cores(ScratchAppliance& appliance, bool quick, BenchFindings& into) {
  const std::vector<int> cores = allowed_cores();
  if (cores.size() < 2) {
    for (const char* name : {"ring_throughput", "ring_round_trip", "line_round_trip", "wake_up"}) {
      into.not_measured.push_back({name, "this process may use one core only"});
    }
    return;
  }
  const int rounds = quick ? 1 : 5;
  const std::int64_t for_ns = quick ? 5'000'000 : 150'000'000;
  std::vector<double> throughput;
  std::vector<double> ring_ns;
  std::vector<double> line_ns;
  for (int round = 0; round < rounds; ++round) {
    throughput.push_back(ring_million_per_s(cores, for_ns));
    ring_ns.push_back(ring_round_trip_ns(cores, for_ns));
    line_ns.push_back(line_round_trip_ns(cores, for_ns));
  }
  std::vector<double> woken_ns = wake_ups_ns(cores, appliance, quick ? 20 : 1000);
  // On a host with more to do the other thread may have had no turn at all.
  const auto tell = [&](const Measured& line) {
    if (line.value > 0) {
      into.measured.push_back(line);
    } else {
      into.not_measured.push_back({line.name, "the other core had no time for it: try again"});
    }
  };
  tell({"ring_throughput",
        "the ring, core to core",
        "M/s",
        median(throughput),
        {},
        "Records of 200 bytes, published 32 at a time: far above what a worker "
        "applies, so a ring is "
        "never what an event waits for."});
  tell({"ring_round_trip",
        "the ring, there and back",
        "ns",
        median(ring_ns),
        {},
        "One record at a time between two spinning threads; from ingest to worker is half of it."});
  tell({"line_round_trip",
        "a cache line, there and back",
        "ns",
        median(line_ns),
        {},
        "The floor under both: around 100 ns between near cores, 220 to 510 ns between far ones. "
        "On a virtual machine it may change within minutes."});
  if (woken_ns.empty()) {
    into.not_measured.push_back({"wake_up", "the other thread was never asleep"});
    return;
  }
  const double p99_ns = quantile(woken_ns, 0.99);
  into.measured.push_back(
      {"wake_up", "wake a thread on the other core", "ns", median(woken_ns), p99_ns,
       "What the first event after a pause waits with [cpu] wait = \"adaptive\" or \"sleep\": some "
       "µs "
       "on bare metal, 15 to 50 µs on a virtual machine. \"spin\" saves it, at a core each."});
}

}  // namespace deja
