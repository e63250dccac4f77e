// The unit that two cores pass between them. std::hardware_destructive_interference_size is not
// used: it may differ between compilers, and these numbers are part of a layout.
#pragma once

#include <cstddef>

namespace deja {

inline constexpr std::size_t kCacheLineBytes = 64;

/// Rounds up to a multiple of `step`, which is a power of two.
[[nodiscard]] constexpr std::size_t round_up(std::size_t bytes, std::size_t step) {
  return (bytes + step - 1) & ~(step - 1);
}

}  // namespace deja
