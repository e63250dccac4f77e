// What a ring says to the caches about its lines. Hints: they change no byte, never fault on memory
// that is mapped (for reading is enough), and order nothing. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "shm/base/cache_line.h"

namespace deja {

/// Asks for a line that will be read.
inline void ask_for_line(const void* line) {
  __builtin_prefetch(line);
}

/// Whether give_line_back() can be called here. Asks the processor: once per ring, not per record.
[[nodiscard]] inline bool gives_lines_back() {
#if defined(__x86_64__)
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & bit_CLFLUSHOPT) != 0;
#else
  return false;
#endif
}

/// Drops a line from all caches, its bytes to memory first. So whoever writes to it next takes it
/// from memory, and not from a core that holds a copy which it no longer needs.
inline void give_line_back(const std::uint8_t* line) {
#if defined(__x86_64__)
  __asm__ __volatile__("clflushopt %0" : : "m"(*line));
#else
  (void)line;
#endif
}

}  // namespace deja
