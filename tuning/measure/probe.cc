#include "tuning/measure/probe.h"

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <thread>

#include "shm/base/affinity.h"
#include "shm/base/clock.h"
#include "tuning/measure/cause.h"

namespace deja::tuning {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kPeriodNs = 1'000'000;
constexpr std::int64_t kLookEveryNs = 100'000'000;
constexpr std::size_t kWorstMax = 20;

/// Counts of the calling thread.
struct Own {
  std::uint64_t major_faults = 0;
  std::uint64_t minor_faults = 0;
  std::uint64_t preemptions = 0;
  std::uint64_t run_delay_ns = 0;
};

Own read_own(const Tree& tree) {
  Own own;
  struct rusage usage {};
  if (getrusage(RUSAGE_THREAD, &usage) == 0) {
    own.major_faults = static_cast<std::uint64_t>(usage.ru_majflt);
    own.minor_faults = static_cast<std::uint64_t>(usage.ru_minflt);
    own.preemptions = static_cast<std::uint64_t>(usage.ru_nivcsw);
  }
  // "time on a core, time ready and waiting for one, slices"; absent without CONFIG_SCHED_INFO.
  if (const auto text = tree.read_value("/proc/thread-self/schedstat")) {
    const std::size_t space = text->find(' ');
    if (space != std::string::npos) {
      std::from_chars(text->data() + space + 1, text->data() + text->size(), own.run_delay_ns);
    }
  }
  return own;
}

/// What one probe gathers.
class Gathering {
 public:
  Gathering(const Tree& tree, int core)
      : tree_(tree), core_(core), began_ns_(steady_ns()), histogram_(layout_.get()) {
    first_own_ = own_ = read_own(tree);
    first_ = seen_ = read_interference(tree, core);
    looked_ns_ = steady_ns();
  }

  void record(std::uint64_t length_ns) { histogram_.record(length_ns); }

  /// Looks who did it. Takes some 100 µs.
  void explain(std::uint64_t length_ns) {
    const Own own = read_own(tree_);
    const Interference now = read_interference(tree_, core_);
    Around around{length_ns,
                  own.major_faults - own_.major_faults,
                  own.minor_faults - own_.minor_faults,
                  own.preemptions - own_.preemptions,
                  own.run_delay_ns - own_.run_delay_ns,
                  growth(seen_, now)};
    Outlier outlier{(steady_ns() - began_ns_) / 1000, length_ns, cause_of(around)};
    ++causes_[outlier.cause];
    worst_.push_back(std::move(outlier));
    std::sort(worst_.begin(), worst_.end(),
              [](const Outlier& a, const Outlier& b) { return a.length_ns > b.length_ns; });
    if (worst_.size() > kWorstMax) worst_.pop_back();
    refresh();
  }

  /// So that what is seen around an outlier happened near it.
  void refresh_when_old() {
    if (steady_ns() - looked_ns_ > kLookEveryNs) refresh();
  }

  Probe finish() {
    Probe probe;
    const Own own = read_own(tree_);
    probe.latency = HistogramCopy::of(*layout_);
    probe.watched_ns = static_cast<std::uint64_t>(steady_ns() - began_ns_);
    probe.worst = std::move(worst_);
    probe.causes = std::move(causes_);
    probe.preemptions = own.preemptions - first_own_.preemptions;
    probe.faults =
        own.major_faults + own.minor_faults - first_own_.major_faults - first_own_.minor_faults;
    probe.core = growth(first_, read_interference(tree_, core_));
    return probe;
  }

 private:
  // Read last: what our own reading brings about is none of the next outlier's.
  void refresh() {
    seen_ = read_interference(tree_, core_);
    own_ = read_own(tree_);
    looked_ns_ = steady_ns();
  }

  const Tree& tree_;
  int core_;
  std::int64_t began_ns_;
  std::int64_t looked_ns_ = 0;
  Own first_own_;
  Own own_;
  Interference first_;
  Interference seen_;
  std::unique_ptr<HistogramLayout> layout_ = std::make_unique<HistogramLayout>();
  Histogram histogram_;
  std::vector<Outlier> worst_;
  std::map<std::string, std::uint64_t> causes_;
};

Probe probe_wake_up(const Tree& tree, int core, std::int64_t length_ns) {
  Gathering gathering(tree, core);
  const std::int64_t end_ns = steady_ns() + length_ns;
  std::int64_t due_ns = steady_ns() + kPeriodNs;
  while (due_ns < end_ns) {
    const timespec due{due_ns / kSecondNs, due_ns % kSecondNs};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr) == EINTR) {
    }
    const auto late_ns =
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, steady_ns() - due_ns));
    gathering.record(late_ns);
    if (late_ns >= kLateWakeUpNs) gathering.explain(late_ns);
    gathering.refresh_when_old();
    // From now on, not from when it was due: what was late is late once.
    due_ns = std::max(due_ns, steady_ns()) + kPeriodNs;
  }
  return gathering.finish();
}

Probe probe_jitter(const Tree& tree, int core, std::int64_t length_ns) {
  Gathering gathering(tree, core);
  const std::int64_t end_ns = steady_ns() + length_ns;
  std::int64_t refreshed_ns = steady_ns();
  std::int64_t last_ns = refreshed_ns;
  while (last_ns < end_ns) {
    const std::int64_t now_ns = steady_ns();
    const auto gap_ns = static_cast<std::uint64_t>(now_ns - last_ns);
    last_ns = now_ns;
    if (gap_ns >= kInterruptionLeastNs) {
      gathering.record(gap_ns);
      if (gap_ns >= kLongInterruptionNs) {
        gathering.explain(gap_ns);
        last_ns = refreshed_ns = steady_ns();
      }
    }
    if (now_ns - refreshed_ns > kLookEveryNs) {
      gathering.refresh_when_old();
      last_ns = refreshed_ns = steady_ns();
    }
  }
  return gathering.finish();
}

void probe_core(CoreMeasurement& measurement, std::int64_t length_ns) {
  measurement.is_pinned = pin_this_thread(measurement.core) == 0;
  const Result<Tree> tree = Tree::open("/");
  if (!tree) return;
  measurement.wake = probe_wake_up(*tree, measurement.core, length_ns);
  measurement.jitter = probe_jitter(*tree, measurement.core, length_ns);
}

}  // namespace

std::vector<CoreMeasurement> probe_cores(const std::vector<int>& cores, double seconds) {
  std::vector<CoreMeasurement> measured(cores.size());
  std::vector<std::thread> threads;
  const auto length_ns = static_cast<std::int64_t>(seconds * static_cast<double>(kSecondNs));
  for (std::size_t at = 0; at < cores.size(); ++at) {
    measured[at].core = cores[at];
    threads.emplace_back([&measured, at, length_ns] { probe_core(measured[at], length_ns); });
  }
  for (std::thread& thread : threads) thread.join();
  return measured;
}

}  // namespace deja::tuning
