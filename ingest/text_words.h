// Short texts as words, without the call that a memcpy or memcmp of unknown length is. Any thread;
// reads no byte beyond the text.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace deja {

static_assert(std::endian::native == std::endian::little, "a text's first byte is a word's lowest");

template <typename Word>
[[nodiscard]] inline Word load_word(const char* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
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

/// Copies a text to whole words, zeroes behind it.
inline void copy_as_words(std::uint8_t* into, const char* text, std::size_t size) {
  std::size_t at = 0;
  for (; at + 8 <= size; at += 8) std::memcpy(into + at, text + at, 8);
  if (at == size) return;
  std::uint64_t last = first_word(text + at, size - at);
  if (size > 8) last = load_word<std::uint64_t>(text + size - 8) >> (8 * (8 - (size - at)));
  std::memcpy(into + at, &last, 8);
}

}  // namespace deja
