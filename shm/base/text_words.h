// Short texts as words, without the call that a memcpy or memcmp of unknown length is. Any thread;
// reads no byte beyond the text. Libc alone.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace deja {

static_assert(std::endian::native == std::endian::little, "a text's first byte is a word's lowest");

template <typename Word>
[[nodiscard]] inline Word load_word(const char* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

/// Whether two texts of this length are the same. The words may overlap. The last one is looked at
/// first: "product-17" and "product-18" differ there.
[[nodiscard]] inline bool same_bytes(const char* a, const char* b, std::uint32_t bytes) {
  const auto differ = [&]<typename Word>(std::uint32_t at, Word) {
    return load_word<Word>(a + at) != load_word<Word>(b + at);
  };
  if (bytes >= 8) {
    if (differ(bytes - 8, std::uint64_t{})) return false;
    for (std::uint32_t at = 0; at + 8 < bytes; at += 8) {
      if (differ(at, std::uint64_t{})) return false;
    }
    return true;
  }
  if (bytes >= 4) return !differ(0, std::uint32_t{}) && !differ(bytes - 4, std::uint32_t{});
  for (std::uint32_t at = 0; at < bytes; ++at) {
    if (a[at] != b[at]) return false;
  }
  return true;
}

/// The first 8 bytes of a text, zeroes behind it.
[[nodiscard]] inline std::uint64_t first_word(const char* text, std::size_t size) {
  if (size >= 8) return load_word<std::uint64_t>(text);
  if (size >= 4) {
    const std::uint64_t low = load_word<std::uint32_t>(text);
    const std::uint64_t high = load_word<std::uint32_t>(text + size - 4);
    return low | high << (8 * (size - 4));
  }
  if (size == 0) return 0;
  const auto byte = [text](std::size_t at) {
    return std::uint64_t{static_cast<unsigned char>(text[at])} << (8 * at);
  };
  return byte(0) | byte(size / 2) | byte(size - 1);
}

/// What is left of a text behind its last whole word, 1 to 7 bytes, zeroes behind them.
[[nodiscard]] inline std::uint64_t last_word(const char* text, std::size_t size) {
  const std::size_t left = size % 8;
  if (size < 8) return first_word(text, left);
  return load_word<std::uint64_t>(text + size - 8) >> (8 * (8 - left));
}

/// Copies a text to whole words, zeroes behind it.
inline void copy_as_words(std::uint8_t* into, const char* text, std::size_t size) {
  std::size_t at = 0;
  for (; at + 8 <= size; at += 8) std::memcpy(into + at, text + at, 8);
  if (at == size) return;
  const std::uint64_t last = last_word(text, size);
  std::memcpy(into + at, &last, 8);
}

}  // namespace deja
