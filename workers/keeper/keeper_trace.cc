#include "workers/keeper/keeper_trace.h"

#include <string>
#include <utility>

#include "shm/base/clock.h"

namespace deja {

Result<KeeperTrace> KeeperTrace::open(const Segment& segment,
                                      const std::atomic<std::uint64_t>* watermarks) {
  const SuperblockLayout& superblock = segment.superblock();
  const auto map = [&](const std::string& name, MappedFile::Mode mode,
                       std::uint64_t bytes_min) -> Result<MappedFile> {
    return MappedFile::open(segment.path(name), mode, bytes_min);
  };
  auto own = map(kTraceKeeperFile, MappedFile::Mode::kReadWrite,
                 trace_keeper_bytes(superblock.worker_count, superblock.ingest_count));
  if (!own) return own.error();
  Files files{{}, {}, std::move(*own)};
  for (std::uint32_t thread = 0; thread < superblock.ingest_count; ++thread) {
    auto file = map("trace-ingest-" + std::to_string(thread), MappedFile::Mode::kReadOnly,
                    trace_ingest_bytes(superblock.worker_count));
    if (!file) return file.error();
    files.ingest.push_back(std::move(*file));
  }
  for (std::uint32_t worker = 0; worker < superblock.worker_count; ++worker) {
    auto file = map("trace-worker-" + std::to_string(worker), MappedFile::Mode::kReadOnly,
                    trace_worker_bytes(superblock.ingest_count));
    if (!file) return file.error();
    files.workers.push_back(std::move(*file));
  }
  return KeeperTrace(std::move(files), segment, watermarks);
}

KeeperTrace::KeeperTrace(Files files, const Segment& segment,
                         const std::atomic<std::uint64_t>* watermarks)
    : files_(std::move(files)),
      watermarks_(watermarks),
      by_shard_(segment.superblock().shard_count) {
  KeeperTraceLayout* marks = files_.own.at<KeeperTraceLayout>();
  for (std::uint32_t worker = 0; worker < files_.workers.size(); ++worker) {
    for (std::uint32_t ring = 0; ring < files_.ingest.size(); ++ring) {
      lanes_.push_back({files_.ingest[ring].at<const TraceLaneLayout>() + worker,
                        files_.workers[worker].at<const WorkerTraceLayout>() + ring, marks++});
    }
  }
}

void KeeperTrace::durable(const PositionLayout* positions, std::int64_t durable_ns) {
  for (std::size_t at = 0; at < lanes_.size(); ++at) {
    Lane& lane = lanes_[at];
    // SYNC(trace.count): may now read the slots before it.
    if (lane.slots->count.load(std::memory_order_acquire) == lane.durable) continue;
    mark_durable(lane, positions[at].value.load(std::memory_order_relaxed), durable_ns);
  }
  tend();
}

void KeeperTrace::mark_durable(Lane& lane, std::uint64_t position, std::int64_t durable_ns) {
  // SYNC(trace.count): may now read the slots before it.
  const std::uint64_t count = lane.slots->count.load(std::memory_order_acquire);
  unhanded_ -= lane.durable - lane.handed;
  lane.durable = sane_cursor(lane.durable, count);
  for (; lane.durable != count; ++lane.durable) {
    TraceSlot slot;
    if (!read_cell(lane.slots->slots[lane.durable % kTraceSlots], lane.durable, slot)) continue;
    if (slot.end_position > position) break;
    KeeperMark known;
    if (slot.end_position == 0 || read_cell(mark(lane, lane.durable), lane.durable, known))
      continue;
    write_cell(mark(lane, lane.durable), lane.durable, KeeperMark{durable_ns, 0});
  }
  lane.handed = sane_cursor(lane.handed, lane.durable);
  unhanded_ += lane.durable - lane.handed;
}

void KeeperTrace::hand_over() {
  for (std::uint32_t at = 0; at < lanes_.size(); ++at) hand_over(at);
}

/// Lets those whose worker has said what became of them wait for their shard.
void KeeperTrace::hand_over(std::uint32_t at) {
  Lane& lane = lanes_[at];
  // SYNC(trace.passed): may now read the marks of what was passed.
  const std::uint64_t passed = lane.worker->count.load(std::memory_order_acquire);
  for (; lane.handed < lane.durable && lane.handed < passed; ++lane.handed) {
    --unhanded_;
    WorkerMark known;
    KeeperMark own;
    if (!read_cell(lane.worker->marks[lane.handed % kTraceSlots], lane.handed, known) ||
        !read_cell(mark(lane, lane.handed), lane.handed, own) || known.sequence == 0 ||
        own.flushed_ns != 0 || known.shard >= by_shard_.size()) {
      continue;
    }
    const Waiting waiting{at, lane.handed, known.sequence};
    if (known.sequence <= watermarks_[known.shard].load(std::memory_order_relaxed)) {
      mark_flushed(waiting, steady_ns());
    } else {
      wait_for_shard(known.shard, waiting);
    }
  }
}

/// With Redis away for long, slots are used again: who waits with one of those waits for nothing.
void KeeperTrace::wait_for_shard(std::uint32_t shard, const Waiting& waiting) {
  std::vector<Waiting>& others = by_shard_[shard];
  if (others.size() == kTraceSlots * lanes_.size()) {
    std::erase_if(others, [this](const Waiting& each) { return !holds(each); });
  }
  if (others.size() < kTraceSlots * lanes_.size()) others.push_back(waiting);
}

void KeeperTrace::flushed(std::uint32_t shard) {
  tend();
  std::vector<Waiting>& waiting = by_shard_[shard];
  if (waiting.empty()) return;
  const std::uint64_t watermark = watermarks_[shard].load(std::memory_order_relaxed);
  const std::int64_t now_ns = steady_ns();
  std::erase_if(waiting, [&](const Waiting& each) {
    if (each.sequence > watermark) return false;
    mark_flushed(each, now_ns);
    return true;
  });
}

/// Unless its slot is another event's by now.
void KeeperTrace::mark_flushed(const Waiting& waiting, std::int64_t now_ns) {
  if (!holds(waiting)) return;
  set_word(mark(lanes_[waiting.lane], waiting.number), offsetof(KeeperMark, flushed_ns),
           static_cast<std::uint64_t>(now_ns));
}

}  // namespace deja
