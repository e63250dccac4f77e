// How far the writing side is behind: whether workers have read everything back and whether their
// rings are empty. The supervisor asks before it goes on with a start or a stop. Maps read-only,
// trusts no position. One thread.
#pragma once

#include <cstdint>
#include <vector>

#include "shm/mapped_file.h"
#include "shm/segment.h"

namespace deja {

class Backlog {
 public:
  [[nodiscard]] static Result<Backlog> open(const Segment& segment);

  /// Workers that have not finished reading back yet.
  [[nodiscard]] std::uint32_t workers_recovering() const;
  /// Bytes in rings that no worker has consumed.
  [[nodiscard]] std::uint64_t unconsumed_bytes() const;

 private:
  struct Ring {
    MappedFile file;
    std::uint32_t worker;
    std::uint32_t thread;
  };
  std::vector<MappedFile> workers_;
  std::vector<MappedFile> consumed_;
  std::vector<Ring> rings_;
};

}  // namespace deja
