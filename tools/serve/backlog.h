// How far the writing side is behind: whether workers have read everything back, whether their
// rings are empty, whether Redis has it all. The supervisor asks before it goes on with a start or
// a stop, and believes this and no exit status: that of an adopted process is not to be had. Maps
// read-only, trusts no position. One thread.
#pragma once

#include <cstdint>
#include <utility>
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
  /// Bytes in logs that the keeper has not made durable, in the journal or in Redis.
  [[nodiscard]] std::uint64_t undrained_bytes() const;

 private:
  struct Ring {
    MappedFile file;
    std::uint32_t worker;
    std::uint32_t thread;
  };
  explicit Backlog(MappedFile keeper) : keeper_(std::move(keeper)) {}

  MappedFile keeper_;
  std::vector<MappedFile> logs_;
  std::vector<MappedFile> workers_;
  std::vector<MappedFile> consumed_;
  std::vector<Ring> rings_;
};

}  // namespace deja
