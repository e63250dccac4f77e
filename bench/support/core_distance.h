// How far two cores are from each other now: what a cache line takes there and back. On a virtual
// machine that changes within minutes, as the host moves its cores about, and everything between
// cores changes with it: near 70 to 130 ns, far 220 to 510. So what crosses cores is measured
// between two such looks, and counts only where they agree. One thread, which it pins to `here`.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "bench/support/samples.h"
#include "bench/support/servers.h"
#include "shm/base/affinity.h"
#include "shm/base/cache_line.h"
#include "shm/base/clock.h"

namespace deja::bench {

enum class Distance { kNear, kFar };

[[nodiscard]] inline const char* name_of(Distance distance) {
  return distance == Distance::kNear ? "near" : "far";
}

/// Between what was seen of either.
inline constexpr double kNearNsMax = 160;

[[nodiscard]] inline Distance distance_of(double there_and_back_ns) {
  return there_and_back_ns <= kNearNsMax ? Distance::kNear : Distance::kFar;
}

/// Whether two looks found the cores as far apart: on the same side, and by a half at most.
[[nodiscard]] inline bool agree(double one_ns, double other_ns) {
  return distance_of(one_ns) == distance_of(other_ns) && one_ns <= other_ns * 1.5 &&
         other_ns <= one_ns * 1.5;
}

struct TwoCores {
  int here = -1;
  int there = -1;
};

/// The first two cores that this process may run on; -1 where there are fewer.
[[nodiscard]] inline TwoCores two_cores() {
  const std::vector<int> allowed = allowed_cores();
  return {allowed.empty() ? -1 : allowed[0], allowed.size() < 2 ? -1 : allowed[1]};
}

/// A line there and one back, each written by one side and awaited by the other as a ring's
/// position is, in ns: the median of `slices` times 200, so that a slice in which somebody else had
/// one of the cores says nothing. Some 50 µs a slice.
[[nodiscard]] inline double line_there_and_back_ns(const TwoCores& cores, int slices = 60) {
  constexpr std::uint64_t kTripsOfASlice = 200;
  struct {
    alignas(kCacheLineBytes) std::atomic<std::uint64_t> here{0};
    alignas(kCacheLineBytes) std::atomic<std::uint64_t> there{0};
  } line;
  const std::uint64_t trips = kTripsOfASlice * static_cast<std::uint64_t>(slices);
  if (pin_this_thread(cores.here) != 0) give_up("can't be pinned to a core");
  std::thread other([&] {
    if (pin_this_thread(cores.there) != 0) give_up("can't be pinned to a core");
    for (std::uint64_t trip = 0; trip < trips; ++trip) {
      while (line.here.load(std::memory_order_acquire) != trip + 1) {
      }
      line.there.store(trip + 1, std::memory_order_release);
    }
  });
  Samples times;
  for (std::uint64_t trip = 0; trip < trips;) {
    const std::int64_t begin_ns = steady_ns();
    for (std::uint64_t end = trip + kTripsOfASlice; trip < end; ++trip) {
      line.here.store(trip + 1, std::memory_order_release);
      while (line.there.load(std::memory_order_acquire) != trip + 1) {
      }
    }
    times.add(static_cast<double>(steady_ns() - begin_ns) / kTripsOfASlice);
  }
  other.join();
  return times.median();
}

}  // namespace deja::bench
