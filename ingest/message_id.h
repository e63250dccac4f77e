// From a message's id to the 128 bits that the id sets keep: MurmurHash3_x64_128 (Austin Appleby,
// SMHasher), unkeyed, since ids must mean the same after every restart. With a billion ids about
// one pair in 10^20 meets by chance; whoever holds a write key and makes two ids meet loses only an
// event of their own. Any thread; no allocation.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>

#include "shm/base/text_words.h"

namespace deja {

struct MessageId {
  std::uint64_t low = 0;  ///< both 0: the event has no id
  std::uint64_t high = 0;
};

namespace internal {

[[nodiscard]] inline std::uint64_t rotate(std::uint64_t word, unsigned bits) {
  return (word << bits) | (word >> (64U - bits));
}

[[nodiscard]] inline std::uint64_t final_mix(std::uint64_t word) {
  word ^= word >> 33U;
  word *= 0xff51afd7ed558ccdU;
  word ^= word >> 33U;
  word *= 0xc4ceb9fe1a85ec53U;
  return word ^ (word >> 33U);
}

}  // namespace internal

/// The method itself; the seed is a parameter for the sake of SMHasher's own verification value.
[[nodiscard]] inline MessageId murmur3_128(const char* bytes, std::size_t size,
                                           std::uint32_t seed) {
  constexpr std::uint64_t kFirst = 0x87c37b91114253d5U;
  constexpr std::uint64_t kSecond = 0x4cf5ad432745937fU;
  const auto mix_first = [](std::uint64_t word) {
    return internal::rotate(word * kFirst, 31) * kSecond;
  };
  const auto mix_second = [](std::uint64_t word) {
    return internal::rotate(word * kSecond, 33) * kFirst;
  };
  std::uint64_t low = seed;
  std::uint64_t high = seed;
  std::size_t at = 0;
  for (; at + 16 <= size; at += 16) {
    std::uint64_t words[2];
    std::memcpy(words, bytes + at, 16);
    low = (internal::rotate(low ^ mix_first(words[0]), 27) + high) * 5 + 0x52dce729U;
    high = (internal::rotate(high ^ mix_second(words[1]), 31) + low) * 5 + 0x38495ab5U;
  }
  // Not copied to be loaded again: a load of what several stores have just written waits for them.
  const std::size_t rest = size % 16;
  if (rest > 8) high ^= mix_second(first_word(bytes + size - rest + 8, rest - 8));
  low ^= mix_first(first_word(bytes + size - rest, rest));
  low ^= size;
  high ^= size;
  low += high;
  high += low;
  low = internal::final_mix(low);
  high = internal::final_mix(high);
  low += high;
  high += low;
  return {low, high};
}

/// Begins a text that names the 128 bits themselves, as 32 hexadecimal digits: of a dead letter
/// they are all that is known of its id. Whoever writes such a text could have sent the id itself.
inline constexpr std::string_view kRawIdPrefix = "deja-id:";

/// The text of an id's own bits.
[[nodiscard]] inline std::string raw_id_text(const MessageId& id) {
  char digits[33];
  std::snprintf(digits, sizeof digits, "%016llx%016llx", static_cast<unsigned long long>(id.high),
                static_cast<unsigned long long>(id.low));
  return std::string(kRawIdPrefix) + digits;
}

/// False: `text` is no raw id, but a text like any other.
[[nodiscard]] inline bool read_raw_id(std::string_view text, MessageId& id) {
  if (text.size() != kRawIdPrefix.size() + 32 || !text.starts_with(kRawIdPrefix)) return false;
  const char* digits = text.data() + kRawIdPrefix.size();
  for (std::uint64_t* word : {&id.high, &id.low}) {
    const auto [end, error] = std::from_chars(digits, digits + 16, *word, 16);
    if (error != std::errc() || end != digits + 16) return false;
    digits = end;
  }
  return (id.low | id.high) != 0;
}

/// An empty id is none; no other gives zero in both words.
[[nodiscard]] inline MessageId message_id_of(std::string_view text) {
  if (text.empty()) return {};
  if (MessageId raw; read_raw_id(text, raw)) return raw;
  MessageId id = murmur3_128(text.data(), text.size(), 0);
  if (id.low == 0 && id.high == 0) id.low = 1;
  return id;
}

}  // namespace deja
