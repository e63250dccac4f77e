// HyperLogLog with 256 registers of 4 bits: an estimate of how many different hashes were added,
// standard error 1.04/√256 = 6.5 %, up to about two million. Libc alone; any thread; no allocation.
// Estimator: the improved raw estimator of O. Ertl, "New cardinality estimation algorithms for
// HyperLogLog sketches" (2017), algorithm 6, with p = 8 and q = 14.
//
// Register r lies in byte r/2: the low half for an even r. Zero bytes: nothing was added.
#pragma once

#include <bit>
#include <cstdint>

#include "shm/columns/power.h"

namespace deja::columns {

inline constexpr std::uint32_t kRegisterCount = 256;
inline constexpr std::uint32_t kRegisterBytes = kRegisterCount / 2;
inline constexpr std::uint32_t kRegisterMax = 15;

[[nodiscard]] inline std::uint32_t register_value(const std::uint8_t* registers,
                                                  std::uint32_t index) {
  return (registers[index / 2] >> (4U * (index % 2))) & 0xfU;
}

inline void raise_register(std::uint8_t* registers, std::uint32_t index, std::uint32_t value) {
  if (value <= register_value(registers, index)) return;
  const std::uint32_t shift = 4U * (index % 2);
  const std::uint32_t other = registers[index / 2] & (0xf0U >> shift);
  registers[index / 2] = static_cast<std::uint8_t>(other | (value << shift));
}

inline void add_hash(std::uint8_t* registers, std::uint64_t hash) {
  const auto index = static_cast<std::uint32_t>(hash >> 56U);
  const auto zeros = static_cast<std::uint32_t>(std::countl_zero(hash << 8U));
  raise_register(registers, index, zeros + 1 < kRegisterMax ? zeros + 1 : kRegisterMax);
}

inline void merge_registers(std::uint8_t* into, const std::uint8_t* from) {
  for (std::uint32_t index = 0; index < kRegisterCount; ++index) {
    raise_register(into, index, register_value(from, index));
  }
}

/// Ertl's sigma, 0 <= x < 1.
[[nodiscard]] inline double ertl_sigma(double x) {
  double power = 1;
  double sum = x;
  for (double before = -1; sum != before;) {
    x *= x;
    before = sum;
    sum += x * power;
    power += power;
  }
  return sum;
}

/// Ertl's tau, 0 <= x <= 1.
[[nodiscard]] inline double ertl_tau(double x) {
  if (x <= 0 || x >= 1) return 0;
  double power = 1;
  double rest = 1 - x;
  for (double before = -1; rest != before;) {
    x = square_root(x);
    before = rest;
    power /= 2;
    rest -= (1 - x) * (1 - x) * power;
  }
  return rest / 3;
}

[[nodiscard]] inline double estimate_count(const std::uint8_t* registers) {
  std::uint32_t with_value[kRegisterMax + 1] = {};
  for (std::uint32_t index = 0; index < kRegisterCount; ++index) {
    ++with_value[register_value(registers, index)];
  }
  if (with_value[0] == kRegisterCount) return 0;
  constexpr double kCount = kRegisterCount;
  double sum = kCount * ertl_tau(1 - with_value[kRegisterMax] / kCount);
  for (std::uint32_t value = kRegisterMax - 1; value >= 1; --value) {
    sum = 0.5 * (sum + with_value[value]);
  }
  sum += kCount * ertl_sigma(with_value[0] / kCount);
  constexpr double kAlpha = 0.721347520444481703680;  // 1 / (2 ln 2)
  return sum > 0 ? kAlpha * kCount * kCount / sum : kCount * 32768;
}

}  // namespace deja::columns
