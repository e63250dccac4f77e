// A clock cheap enough to time one read of a profile: the processor's time stamp counter (some 10
// ns a reading, not taken off), calibrated against CLOCK_MONOTONIC; elsewhere that clock itself.
#pragma once

#include <cstdint>

#include "shm/base/clock.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace deja::bench {

[[nodiscard]] inline std::uint64_t ticks() {
#if defined(__x86_64__)
  unsigned core = 0;
  const std::uint64_t now = __rdtscp(&core);  // waits for what was asked before it
  _mm_lfence();                               // and what comes later waits for it
  return now;
#else
  return static_cast<std::uint64_t>(steady_ns());
#endif
}

/// Nanoseconds of one tick, measured for 50 ms.
[[nodiscard]] inline double tick_ns() {
  const std::int64_t begin_ns = steady_ns();
  const std::uint64_t begin = ticks();
  while (steady_ns() - begin_ns < 50'000'000) {
  }
  return static_cast<double>(steady_ns() - begin_ns) / static_cast<double>(ticks() - begin);
}

}  // namespace deja::bench
