// That only one process has a place (a worker's, the keeper's, a supervisor's): an fcntl lock on a
// file of the place's own, which the kernel drops when its process dies, however it dies, and which
// tells who has it. Start-up code; any thread.
//
// Invariants
//  1. The file is opened once in the process that has the place: closing a second descriptor of it
//     would drop the lock. (flock was rejected: it can outlive a dying io_uring.)
//  2. A lock counts only on the file that lies at the path: who removes the file takes its lock
//     first.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

#include "shm/base/result.h"

namespace deja {

class PlaceLock {
 public:
  /// Takes the place. Where another process has it the Error's number is EAGAIN and its sentence
  /// names that process.
  [[nodiscard]] static Result<PlaceLock> take(const std::string& path);

  /// Who has the place: 0 nobody (or there is no such file), -1 a process that can't be seen from
  /// here (another PID namespace). Never to be called by the process that has it.
  [[nodiscard]] static pid_t holder(const std::string& path);

  PlaceLock(PlaceLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  PlaceLock& operator=(PlaceLock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~PlaceLock();

 private:
  explicit PlaceLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

/// Names of the places of a segment's processes, beside its files:
/// stable_path(place_file("keeper")).
[[nodiscard]] inline std::string place_file(const std::string& process) {
  return process + ".lock";
}

}  // namespace deja
