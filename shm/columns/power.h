// Powers of two and a square root without libm: libdeja stands on libc alone, and a weight must be
// the same bits whichever host computes it. Any thread.
#pragma once

#include <bit>
#include <cstdint>

namespace deja::columns {

/// 2^exponent for -1022 <= exponent <= 1023.
[[nodiscard]] inline double power_of_two(std::int64_t exponent) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52U);
}

/// x · 2^exponent: exact while the result is a normal number, 0 or infinite far outside.
[[nodiscard]] inline double scale(double x, std::int64_t exponent) {
  while (exponent > 1000) {
    if (exponent > 4000) exponent = 4000;
    x *= power_of_two(1000);
    exponent -= 1000;
  }
  while (exponent < -1000) {
    if (exponent < -4000) exponent = -4000;
    x *= power_of_two(-1000);
    exponent += 1000;
  }
  return x * power_of_two(exponent);
}

namespace internal {

inline constexpr double kLn2 = 0.693147180559945309417232121458;
inline constexpr std::uint32_t kPowerSteps = 64;

/// 2^(step / 64), by the series of e^(x·ln 2).
struct PowerTable {
  double of_step[kPowerSteps + 1];

  constexpr PowerTable() : of_step() {
    for (std::uint32_t step = 0; step <= kPowerSteps; ++step) {
      const double y = step * kLn2 / kPowerSteps;
      double sum = 1;
      for (int term = 20; term >= 1; --term) sum = 1 + y / term * sum;
      of_step[step] = sum;
    }
  }
};
inline constexpr PowerTable kPowerTable;

}  // namespace internal

/// 2^x for 0 <= x <= 1, to a few units of the last place: the nearest 64th from a table, the rest
/// by the series of e^y, whose next term is below 2^-54 for |y| <= ln 2 / 128.
[[nodiscard]] inline double exp2_fraction(double x) {
  const auto step = static_cast<std::uint32_t>(x * internal::kPowerSteps + 0.5);
  const double y = (x - static_cast<double>(step) / internal::kPowerSteps) * internal::kLn2;
  const double rest = y + y * y * (1.0 / 2 + y * (1.0 / 6 + y * (1.0 / 24 + y * (1.0 / 120))));
  const double at_step = internal::kPowerTable.of_step[step];
  return at_step + at_step * rest;
}

/// Square root of 0 <= x <= 1 (Newton from above, until it no longer falls).
[[nodiscard]] inline double square_root(double x) {
  if (x <= 0) return 0;
  double root = (1 + x) / 2;
  for (;;) {
    const double next = (root + x / root) / 2;
    if (!(next < root)) return root;
    root = next;
  }
}

}  // namespace deja::columns
