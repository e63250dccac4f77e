// Pinning the calling thread to a core, where the host allows it.
#pragma once

#include <sched.h>

#include <cerrno>

namespace deja {

/// Pins the calling thread to `cpu`. 0, or the errno (EINVAL: no such core or not ours to use).
[[nodiscard]] inline int pin_this_thread(int cpu) {
  if (cpu < 0 || cpu >= CPU_SETSIZE) return EINVAL;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : errno;
}

}  // namespace deja
