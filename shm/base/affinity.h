// Which cores this process may use, and pinning the calling thread to one, where the host allows
// it.
#pragma once

#include <sched.h>

#include <cerrno>
#include <vector>

namespace deja {

/// Pins the calling thread to `cpu`. 0, or the errno (EINVAL: no such core or not ours to use).
[[nodiscard]] inline int pin_this_thread(int cpu) {
  if (cpu < 0 || cpu >= CPU_SETSIZE) return EINVAL;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : errno;
}

/// The cores that the calling thread may run on, in their order; empty: the host does not say.
[[nodiscard]] inline std::vector<int> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(static_cast<unsigned>(core), &set)) cores.push_back(core);
  }
  return cores;
}

}  // namespace deja
