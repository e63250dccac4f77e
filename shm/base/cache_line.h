// The unit that two cores pass between them, and asking for one ahead.
// std::hardware_destructive_interference_size is not used: it may differ between compilers, and
// these numbers are part of a layout.
#pragma once

#include <cstddef>

namespace deja {

inline constexpr std::size_t kCacheLineBytes = 64;

/// Rounds up to a multiple of `step`, which is a power of two.
[[nodiscard]] constexpr std::size_t round_up(std::size_t bytes, std::size_t step) {
  return (bytes + step - 1) & ~(step - 1);
}

/// Asks for a line that will be read. Changes no byte, and never faults.
inline void ask_for_line(const void* line) {
  __builtin_prefetch(line);
  // GCC (12) takes a function that does nothing but prefetch for one without an effect, and leaves
  // calls of it out. An empty instruction that it may not look into is an effect.
  asm volatile("");
}

/// Asks for a line that will be written: whoever else has a copy of it loses that.
inline void ask_for_line_to_write(const void* line) {
#if defined(__x86_64__)
  // What the compiler's own prefetch for writing would be only where it may count on the
  // instruction; processors without it take it for one that does nothing.
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(line)));
#else
  __builtin_prefetch(line, 1);
  asm volatile("");
#endif
}

}  // namespace deja
