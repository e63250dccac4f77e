// The rings of a process, all of one kind: io_uring where it is to be had, epoll where it is not,
// and how the choice is shown. Start-up code; one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ingest/loop_ring.h"
#include "shm/process_file.h"

namespace deja {

struct LoopRings {
  IoBackend backend = IoBackend::kUring;
  std::string why;  ///< a sentence without its end; empty where io_uring is simply there
  std::vector<std::unique_ptr<LoopRing>> rings;

  /// Looks for io_uring (shm/base/io_backend.h) and makes `count` rings. If it is there and yet one
  /// of them can't be had (locked memory is counted), all are epoll's, unless DEJA_IO says uring.
  [[nodiscard]] static Result<LoopRings> make(std::uint32_t count,
                                              const LoopRing::Options& options);

  /// "io_uring is refused here (Operation not permitted): using epoll", for the log.
  [[nodiscard]] std::string line() const;
  /// As deja_io_backend{kind="uring"} and {kind="epoll"}: 1 for the one in use, 0 for the other.
  void show(ProcessFile& process) const;
};

}  // namespace deja
