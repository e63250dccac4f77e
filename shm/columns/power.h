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

/// 2^x for 0 <= x <= 1, to a few units of the last place (the series of e^(x·ln 2), 20 terms).
[[nodiscard]] inline double exp2_fraction(double x) {
  constexpr double kLn2 = 0.693147180559945309417232121458;
  const double y = x * kLn2;
  double sum = 1;
  for (int term = 20; term >= 1; --term) sum = 1 + y / term * sum;
  return sum;
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
