// The clocks, named by what they are for. Reading one costs 3 ns (coarse) to 45 ns here, as much as
// reading a profile: take one reading per duty cycle and pass it on. Any thread; no allocation.
#pragma once

#include <ctime>

#include <cstdint>

namespace deja {

[[nodiscard]] inline std::int64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

/// Wall clock, microseconds since the epoch: the unit of every event time.
[[nodiscard]] inline std::int64_t wall_us() {
  return clock_ns(CLOCK_REALTIME) / 1000;
}

/// Wall clock at the kernel's tick (1 to 4 ms old), microseconds since the epoch.
[[nodiscard]] inline std::int64_t wall_coarse_us() {
  return clock_ns(CLOCK_REALTIME_COARSE) / 1000;
}

/// For differences only: never set back, the same in all processes of one boot.
[[nodiscard]] inline std::int64_t steady_ns() {
  return clock_ns(CLOCK_MONOTONIC);
}

/// Between two readings of the wall clock that are not before 1970; 0 where it was set back between
/// them.
[[nodiscard]] constexpr std::uint64_t ns_between(std::int64_t from_us, std::int64_t to_us) {
  return from_us < to_us ? static_cast<std::uint64_t>(to_us - from_us) * 1000 : 0;
}

}  // namespace deja
