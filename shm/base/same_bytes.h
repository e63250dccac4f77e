// Comparing short texts: keys, ids, items. Libc alone; any thread.
#pragma once

#include <cstdint>
#include <cstring>

namespace deja {

/// Whether two texts of this length are the same: in words that may overlap, where memcmp() would
/// cost a call for a dozen bytes.
[[nodiscard]] inline bool same_bytes(const char* a, const char* b, std::uint32_t bytes) {
  const auto differ = [&](std::uint32_t at, auto word) {
    auto other = word;
    std::memcpy(&word, a + at, sizeof word);
    std::memcpy(&other, b + at, sizeof other);
    return word != other;
  };
  if (bytes >= 8) {
    for (std::uint32_t at = 0; at + 8 < bytes; at += 8) {
      if (differ(at, std::uint64_t{})) return false;
    }
    return !differ(bytes - 8, std::uint64_t{});
  }
  if (bytes >= 4) return !differ(0, std::uint32_t{}) && !differ(bytes - 4, std::uint32_t{});
  for (std::uint32_t at = 0; at < bytes; ++at) {
    if (a[at] != b[at]) return false;
  }
  return true;
}

}  // namespace deja
