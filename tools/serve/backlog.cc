#include "tools/serve/backlog.h"

#include "ring/positions.h"
#include "ring/spsc_ring.h"
#include "shm/consumed_layout.h"

namespace deja {

Result<Backlog> Backlog::open(const Segment& segment) {
  const SuperblockLayout& superblock = segment.superblock();
  constexpr auto kReadOnly = MappedFile::Mode::kReadOnly;
  auto keeper = segment.map("keeper", kReadOnly);
  if (!keeper.ok()) return keeper.error();
  if (keeper->bytes() < keeper_file_bytes(superblock.worker_count, superblock.shard_count)) {
    return Error{"the file of the keeper is too short", 0,
                 "The segment is damaged: stop the appliance and start it again"};
  }
  Backlog backlog(std::move(*keeper));
  for (std::uint32_t worker = 0; worker < superblock.worker_count; ++worker) {
    const std::string number = std::to_string(worker);
    auto state = segment.map("worker-" + number, kReadOnly);
    if (!state.ok()) return state.error();
    auto consumed = segment.map("consumed-" + number, kReadOnly);
    if (!consumed.ok()) return consumed.error();
    if (state->bytes() < worker_file_bytes(superblock.ingest_count) ||
        consumed->bytes() < consumed_file_bytes(superblock.ingest_count)) {
      return Error{"the files of worker " + number + " are too short", 0,
                   "The segment is damaged: stop the appliance and start it again"};
    }
    auto log = segment.map("log-" + number, kReadOnly);
    if (!log.ok()) return log.error();
    if (log->bytes() < sizeof(RingHeaderLayout)) {
      return Error{"the log of worker " + number + " is too short", 0,
                   "The segment is damaged: stop the appliance and start it again"};
    }
    backlog.logs_.push_back(std::move(*log));
    backlog.workers_.push_back(std::move(*state));
    backlog.consumed_.push_back(std::move(*consumed));
    for (std::uint32_t thread = 0; thread < superblock.ingest_count; ++thread) {
      auto ring = segment.map("ring-" + std::to_string(thread) + "-" + number, kReadOnly);
      if (!ring.ok()) return ring.error();
      if (ring->bytes() < sizeof(RingHeaderLayout)) {
        return Error{"a ring of worker " + number + " is too short", 0,
                     "The segment is damaged: stop the appliance and start it again"};
      }
      backlog.rings_.push_back({std::move(*ring), worker, thread});
    }
  }
  return backlog;
}

std::uint32_t Backlog::workers_recovering() const {
  std::uint32_t count = 0;
  for (const MappedFile& worker : workers_) {
    const auto* layout = worker.at<const WorkerLayout>();
    if (layout->recovered.value.load(std::memory_order_acquire) != 1) ++count;
  }
  return count;
}

std::uint64_t Backlog::undrained_bytes() const {
  std::uint64_t bytes = 0;
  for (std::size_t worker = 0; worker < logs_.size(); ++worker) {
    // The keeper's position first: then the difference is never too small.
    const std::uint64_t drained =
        keeper_logs(keeper_.data())[worker].drained_position.value.load(std::memory_order_acquire);
    const std::uint64_t produced =
        logs_[worker].at<const RingHeaderLayout>()->producer_position.load(
            std::memory_order_acquire);
    if (produced > drained) bytes += produced - drained;
  }
  return bytes;
}

std::uint64_t Backlog::unconsumed_bytes() const {
  std::uint64_t bytes = 0;
  for (const Ring& ring : rings_) {
    // The consumer's position first: then the difference is never too small.
    const std::uint64_t consumed =
        consumed_ring(consumed_[ring.worker].at<const ConsumedLayout>(), ring.thread)
            ->position.load(std::memory_order_acquire);
    const std::uint64_t produced =
        ring.file.at<const RingHeaderLayout>()->producer_position.load(std::memory_order_acquire);
    if (produced > consumed) bytes += produced - consumed;
  }
  return bytes;
}

}  // namespace deja
