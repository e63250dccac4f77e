// Where a benchmark's scratch files lie in memory. Bench code; any thread.
#pragma once

#include <unistd.h>

#include <string>

namespace deja::bench {

/// Where segments are.
inline constexpr const char* kSharedMemory = "/dev/shm";

/// For files that are written and read, as on a disk: bench/run gives them pages of 4 KiB beside
/// its huge ones (frame/pages.py), of which each would be cleared whole for its first write.
[[nodiscard]] inline std::string file_memory() {
  const std::string own = std::string(kSharedMemory) + "/files";
  return access(own.c_str(), W_OK) == 0 ? own : kSharedMemory;
}

}  // namespace deja::bench
