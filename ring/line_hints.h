// What a ring says to the caches about its lines. Hints: they change no byte, never fault on memory
// that is mapped (for reading is enough), and order nothing. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>

#include <cstring>
#endif

namespace deja {

/// Whether give_line_back() can be called here and helps: on AMD's processors, not on Intel's
/// (ring/README.md, "Decisions"). Asks the processor: once per ring, not per record.
[[nodiscard]] inline bool gives_lines_back() {
#if defined(__x86_64__)
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid(0, &eax, &ebx, &ecx, &edx) == 0) return false;
  const unsigned vendor[] = {ebx, edx, ecx};
  if (std::memcmp(vendor, "AuthenticAMD", sizeof vendor) != 0) return false;
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
