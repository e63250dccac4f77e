// Everything of the segment that a worker maps, with the rights that design.md's table of processes
// gives it: its own files for writing, what it reads read-only, and nothing else. Made at attach;
// one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "ring/bell.h"
#include "ring/positions.h"
#include "ring/trace_layout.h"
#include "shm/consumed_layout.h"
#include "shm/mapped_file.h"
#include "shm/segment.h"

namespace deja {

struct WorkerFiles {
  /// Files that are missing or too short are an error with the file's name.
  [[nodiscard]] static Result<WorkerFiles> map(const Segment& segment, std::uint32_t worker);

  [[nodiscard]] WorkerLayout& layout() const { return *positions.at<WorkerLayout>(); }
  [[nodiscard]] std::atomic<std::uint64_t>* consumed_position(std::uint32_t ring) const {
    return &consumed_ring(consumed.at<ConsumedLayout>(), ring)->position;
  }
  [[nodiscard]] const std::atomic<std::uint64_t>* drained_position(std::uint32_t worker) const {
    return &keeper_logs(keeper.data())[worker].drained_position.value;
  }
  /// By shard: up to where its profiles may leave the memory (ring/positions.h).
  [[nodiscard]] const std::atomic<std::uint64_t>* confirmed_sequences(
      const TableGeometry& geometry) const {
    return keeper_confirmed(keeper.data(), geometry.worker_count, geometry.shard_count);
  }
  /// Where ingest thread `ring` has read the verdicts of `worker` to.
  [[nodiscard]] const std::atomic<std::uint64_t>* verdict_position(std::uint32_t ring,
                                                                   std::uint32_t worker) const {
    return &ingest[ring].at<const PositionLayout>()[worker].value;
  }

  /// Where the ingest threads say which events of `worker` are followed, by ring.
  [[nodiscard]] std::vector<const TraceLaneLayout*> trace_lanes(std::uint32_t worker) const {
    std::vector<const TraceLaneLayout*> lanes;
    for (const MappedFile& file : traced)
      lanes.push_back(file.at<const TraceLaneLayout>() + worker);
    return lanes;
  }

  // The worker's own.
  MappedFile profiles;
  MappedFile consumed;
  MappedFile positions;
  MappedFile ids;
  MappedFile log;
  MappedFile process;
  MappedFile trace;
  std::vector<MappedFile> verdicts;  // by ring
  // Others', read-only.
  std::vector<MappedFile> rings;
  std::vector<MappedFile> ingest;  // by ring
  std::vector<MappedFile> traced;  // likewise
  MappedFile returned;
  MappedFile keeper;
};

}  // namespace deja
