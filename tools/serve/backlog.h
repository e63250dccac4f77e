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
  /// Shards that have applied more than the keeper knows Redis to have.
  [[nodiscard]] std::uint32_t unflushed_shards() const;

 private:
  struct Ring {
    MappedFile file;
    std::uint32_t worker;
    std::uint32_t thread;
  };
  explicit Backlog(const TableGeometry& geometry, MappedFile keeper)
      : geometry_(geometry), keeper_(std::move(keeper)) {}

  TableGeometry geometry_;
  MappedFile keeper_;
  std::vector<MappedFile> profiles_;
  std::vector<MappedFile> workers_;
  std::vector<MappedFile> consumed_;
  std::vector<Ring> rings_;
};

}  // namespace deja
