// The hash of an item's bytes, as `distinct` keeps it and as a feature's definition is named. It
// lies in profiles, in Redis and in the journal: it must never change (item_hash_test.cc holds its
// values). Unkeyed, not for hash tables that strangers fill. Any thread; no allocation.
//
// Eight bytes at a time are folded in by a 64×64→128-bit multiplication whose halves are xored.
#pragma once

#include <cstdint>
#include <cstring>

namespace deja::columns {

[[nodiscard]] inline std::uint64_t fold_multiply(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

[[nodiscard]] inline std::uint64_t item_hash(const char* text, std::uint32_t bytes) {
  // Odd constants of about 32 set bits: the fractions of √2, √3, √5 and √7.
  constexpr std::uint64_t kSeed = 0x6a09e667f3bcc909;
  constexpr std::uint64_t kData = 0xbb67ae8584caa73b;
  constexpr std::uint64_t kRound = 0x3c6ef372fe94f82b;
  constexpr std::uint64_t kFinal = 0xa54ff53a5f1d36f1;
  std::uint64_t state = kSeed ^ fold_multiply(bytes + kRound, kFinal);
  while (bytes > 0) {
    const std::uint32_t taken = bytes < 8 ? bytes : 8;
    std::uint64_t word = 0;
    std::memcpy(&word, text, taken);
    state = fold_multiply(state ^ word ^ kRound, kData) + (word ^ kFinal);
    text += taken;
    bytes -= taken;
  }
  state = fold_multiply(state ^ kFinal, kRound);
  return fold_multiply(state ^ (state >> 32U) ^ kData, kFinal);
}

}  // namespace deja::columns
