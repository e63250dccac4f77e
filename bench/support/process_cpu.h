// CPU time of processes, all their threads and all their children counted, from the scheduler's own
// books (nanoseconds; a thread that has ended is not in them any more). One thread.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <system_error>

namespace deja::bench {

/// What a run came to.
struct Pace {
  double million_per_s = 0;
  double cpu_ns = 0;                            ///< of all who took part, per event
  std::map<std::string, double> parts_ns = {};  ///< of it, by who, where that is told apart
};

/// Nanoseconds that `pid` has been on a core.
[[nodiscard]] inline std::uint64_t cpu_ns_of_process(pid_t pid) {
  std::uint64_t sum = 0;
  std::error_code gone;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", gone)) {
    std::uint64_t ran_ns = 0;
    if (std::ifstream(task.path() / "schedstat") >> ran_ns) sum += ran_ns;
  }
  return sum;
}

/// The same with all that descend from it.
[[nodiscard]] inline std::uint64_t cpu_ns_of_family(pid_t pid) {
  std::uint64_t sum = cpu_ns_of_process(pid);
  std::error_code gone;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", gone)) {
    std::ifstream children(task.path() / "children");
    for (pid_t child = 0; children >> child;) sum += cpu_ns_of_family(child);
  }
  return sum;
}

[[nodiscard]] inline std::uint64_t cpu_ns_of_this_thread() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return static_cast<std::uint64_t>(spent.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(spent.tv_nsec);
}

}  // namespace deja::bench
