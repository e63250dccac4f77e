// The index's hash: SipHash-1-3 of a key under the incarnation's secret, so that nobody outside can
// choose keys that meet in one bucket. Source: Aumasson and Bernstein, "SipHash: a fast short-input
// PRF", 2012; one compression and three finalization rounds as in Rust's and CPython's tables. Any
// thread; no allocation; libc alone. About 20 ns for 16 bytes.
//
// The key's namespace goes into bit 7 of the length byte, which a key of at most 64 bytes leaves
// free: "user x" and "anonymous x" are different messages.
#pragma once

#include <cstdint>

#include "shm/base/text_words.h"
#include "shm/key.h"

namespace deja {

struct HashSecret {
  std::uint64_t words[2];
};

namespace internal {

struct SipState {
  std::uint64_t v0, v1, v2, v3;

  static std::uint64_t rotate(std::uint64_t word, unsigned bits) {
    return (word << bits) | (word >> (64U - bits));
  }
  void round() {
    v0 += v1;
    v1 = rotate(v1, 13) ^ v0;
    v0 = rotate(v0, 32);
    v2 += v3;
    v3 = rotate(v3, 16) ^ v2;
    v0 += v3;
    v3 = rotate(v3, 21) ^ v0;
    v2 += v1;
    v1 = rotate(v1, 17) ^ v2;
    v2 = rotate(v2, 32);
  }
};

}  // namespace internal

/// SipHash-c-d of `size` bytes with `length_byte` where the paper has size mod 256. The number of
/// rounds is a parameter so that a test can hold it against the paper's own vector (2-4).
template <int kCompressionRounds, int kFinalRounds>
[[nodiscard]] inline std::uint64_t sip_hash(const HashSecret& secret, const char* bytes,
                                            std::uint32_t size, std::uint8_t length_byte) {
  internal::SipState state{
      secret.words[0] ^ 0x736f6d6570736575U, secret.words[1] ^ 0x646f72616e646f6dU,
      secret.words[0] ^ 0x6c7967656e657261U, secret.words[1] ^ 0x7465646279746573U};
  const auto absorb = [&](std::uint64_t word) {
    state.v3 ^= word;
    for (int round = 0; round < kCompressionRounds; ++round) state.round();
    state.v0 ^= word;
  };
  std::uint32_t at = 0;
  for (; at + 8 <= size; at += 8) absorb(load_word<std::uint64_t>(bytes + at));
  std::uint64_t last = std::uint64_t{length_byte} << 56U;
  if (at < size) last |= last_word(bytes, size);
  absorb(last);
  state.v2 ^= 0xffU;
  for (int round = 0; round < kFinalRounds; ++round) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

/// The hash of a key of at most kKeyBytesMax bytes.
[[nodiscard]] inline std::uint64_t keyed_hash(const HashSecret& secret, const Key& key) {
  const auto length_byte =
      static_cast<std::uint8_t>(key.size | (static_cast<std::uint32_t>(key.name_space) << 7U));
  return sip_hash<1, 3>(secret, key.bytes, key.size, length_byte);
}

}  // namespace deja
