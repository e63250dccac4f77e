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

/// encode_instant() of what lies within ±kInstantLimit already.
[[nodiscard]] constexpr std::uint64_t encode_within_limit(std::int64_t instant) {
  return static_cast<std::uint64_t>(instant) ^ (std::uint64_t{1} << 63U);
}

/// An instant (or pane) as a column keeps it: unsigned order is time order, and 0, which no instant
/// within the limit becomes, is "none".
[[nodiscard]] constexpr std::uint64_t encode_instant(std::int64_t instant) {
  return encode_within_limit(clamp_instant(instant));
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
  // Most numbers are neither 0 nor infinite nor a NaN: one comparison of their bits, less the sign.
  constexpr std::uint64_t kInfinite = std::uint64_t{0x7FF} << 53U;
  if ((std::bit_cast<std::uint64_t>(number) << 1U) - 1 < kInfinite - 1) return number;
  constexpr double kMax = 1.7976931348623157e308;
  if (number > kMax) return kMax;
  if (number < -kMax) return -kMax;
  if (number == 0 || number != number) return 0;
  return number;
}

/// Calls `each(offset, block)` with blocks of 1 to 16 bytes that cover up to 64 bytes. They may
/// overlap.
template <typename Each>
inline void cover(std::uint32_t bytes, const Each& each) {
  struct Block {
    std::uint64_t words[2];
  };
  const auto both_ends = [&](auto block) {
    each(0U, block);
    each(bytes - static_cast<std::uint32_t>(sizeof block), block);
  };
  if (bytes >= 16) {
    both_ends(Block{});
    if (bytes <= 32) return;
    each(16U, Block{});
    each(bytes - 32, Block{});
  } else if (bytes >= 8) {
    both_ends(std::uint64_t{});
  } else if (bytes >= 4) {
    both_ends(std::uint32_t{});
  } else {
    for (std::uint32_t at = 0; at < bytes; ++at) each(at, std::uint8_t{});
  }
}

[[gnu::noinline]] inline void store_long_text(std::uint8_t* at, std::uint32_t room,
                                              const char* text, std::uint32_t bytes) {
  if (bytes > 0) std::memcpy(at, text, bytes);
  std::memset(at + bytes, 0, room - bytes);
}

/// Writes a text into its room and zeroes behind it. Most are short: no call of unknown length.
/// `bytes` <= `room`; the two don't overlap.
inline void store_text(std::uint8_t* at, std::uint32_t room, const char* text,
                       std::uint32_t bytes) {
  if (room > 64) return store_long_text(at, room, text, bytes);
  cover(room, [&](std::uint32_t offset, auto block) { store(at + offset, block); });
  cover(bytes, [&](std::uint32_t offset, auto block) {
    std::memcpy(&block, text + offset, sizeof block);
    store(at + offset, block);
  });
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
