// Reading and writing the plain bytes of a column, and the encodings that make a column of zero
// bytes an empty one. Everything here works on a private copy of a frame: no atomics, no
// allocation, libc alone (libdeja includes it). Any thread.
//
// Bytes may come from another process, from Redis or from disk: whatever they are, the functions of
// this folder stay inside the column and return something finite.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "shm/base/text_words.h"

namespace deja::columns {

template <typename T>
[[nodiscard]] inline T load(const std::uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

template <typename T>
inline void store(std::uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof(T));
}

[[nodiscard]] constexpr std::uint32_t round_up_8(std::uint32_t bytes) {
  return (bytes + 7U) & ~7U;
}

/// Instants and panes lie within ±2^61, so that neither the distance of two nor one plus a duration
/// can overflow.
inline constexpr std::int64_t kInstantLimit = std::int64_t{1} << 61;
/// Windows, gaps and half-lives: at most 2^60 µs (36,000 years).
inline constexpr std::int64_t kDurationMaxUs = std::int64_t{1} << 60;

[[nodiscard]] constexpr std::int64_t clamp_instant(std::int64_t time_us) {
  return time_us < -kInstantLimit ? -kInstantLimit
                                  : (time_us > kInstantLimit ? kInstantLimit : time_us);
}

/// An instant (or pane) as a column keeps it: unsigned order is time order, and 0, which no instant
/// within the limit becomes, is "none".
[[nodiscard]] constexpr std::uint64_t encode_instant(std::int64_t instant) {
  return static_cast<std::uint64_t>(clamp_instant(instant)) ^ (std::uint64_t{1} << 63U);
}

[[nodiscard]] constexpr std::int64_t decode_instant(std::uint64_t stored) {
  return clamp_instant(static_cast<std::int64_t>(stored ^ (std::uint64_t{1} << 63U)));
}

/// Division that rounds down, for times before the epoch too. `divisor` > 0.
[[nodiscard]] constexpr std::int64_t floor_div(std::int64_t value, std::int64_t divisor) {
  const std::int64_t quotient = value / divisor;
  return value % divisor < 0 ? quotient - 1 : quotient;
}

[[nodiscard]] constexpr std::int64_t floor_mod(std::int64_t value, std::int64_t divisor) {
  const std::int64_t rest = value % divisor;
  return rest < 0 ? rest + divisor : rest;
}

/// A number as a column keeps it where zero bytes must mean "none": unsigned order is the numbers'
/// order, and 0 stands for a NaN, which no value is.
[[nodiscard]] inline std::uint64_t encode_number(double number) {
  const auto bits = std::bit_cast<std::uint64_t>(number);
  const std::uint64_t sign = std::uint64_t{1} << 63U;
  return (bits & sign) != 0 ? ~bits : bits | sign;
}

[[nodiscard]] inline double decode_number(std::uint64_t stored) {
  const std::uint64_t sign = std::uint64_t{1} << 63U;
  return std::bit_cast<double>((stored & sign) != 0 ? stored & ~sign : ~stored);
}

/// The nearest finite number (0 for a NaN), and 0 for -0.
[[nodiscard]] inline double finite(double number) {
  constexpr double kMax = 1.7976931348623157e308;
  if (number > kMax) return kMax;
  if (number < -kMax) return -kMax;
  if (number == 0 || number != number) return 0;
  return number;
}

/// <0, 0, >0 as the bytes of a sort before, with, after those of b.
[[nodiscard]] inline int compare_bytes(const char* a, std::uint32_t a_bytes, const char* b,
                                       std::uint32_t b_bytes) {
  const std::uint32_t common = a_bytes < b_bytes ? a_bytes : b_bytes;
  const int order = common == 0 ? 0 : std::memcmp(a, b, common);
  if (order != 0) return order;
  return a_bytes < b_bytes ? -1 : (a_bytes > b_bytes ? 1 : 0);
}

}  // namespace deja::columns
