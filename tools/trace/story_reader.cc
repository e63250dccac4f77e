#include "tools/trace/story_reader.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

#include "ring/trace_cell.h"
#include "shm/base/clock.h"

namespace deja {

Result<StoryReader> StoryReader::open(const Segment& segment) {
  const SuperblockLayout& superblock = segment.superblock();
  const std::uint32_t workers = superblock.worker_count;
  const std::uint32_t rings = superblock.ingest_count;
  const auto map = [&](const std::string& name, std::uint64_t bytes_min) {
    return MappedFile::open(segment.path(name), MappedFile::Mode::kReadOnly, bytes_min);
  };
  StoryReader reader;
  auto keeper = map(kTraceKeeperFile, trace_keeper_bytes(workers, rings));
  if (!keeper.ok()) return keeper.error();
  const auto* keeper_marks = keeper->at<const KeeperTraceLayout>();
  reader.files_.push_back(std::move(*keeper));
  std::vector<const WorkerTraceLayout*> worker_marks;
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    auto file = map("trace-worker-" + std::to_string(worker), trace_worker_bytes(rings));
    if (!file.ok()) return file.error();
    worker_marks.push_back(file->at<const WorkerTraceLayout>());
    reader.files_.push_back(std::move(*file));
  }
  for (std::uint32_t ring = 0; ring < rings; ++ring) {
    auto file = map("trace-ingest-" + std::to_string(ring), trace_ingest_bytes(workers));
    if (!file.ok()) return file.error();
    for (std::uint32_t worker = 0; worker <= workers; ++worker) {
      Lane lane;
      lane.slots = file->at<const TraceLaneLayout>() + worker;
      if (worker < workers) {
        lane.worker_marks = worker_marks[worker] + ring;
        lane.keeper_marks = keeper_marks + std::size_t{worker} * rings + ring;
      }
      lane.ring = ring;
      lane.worker = worker;
      lane.next = lane.slots->count.load(std::memory_order_acquire);
      lane.dropped_before = lane.slots->dropped.load(std::memory_order_relaxed);
      reader.lanes_.push_back(std::move(lane));
    }
    reader.files_.push_back(std::move(*file));
  }
  return reader;
}

std::vector<Story> StoryReader::poll(std::int64_t now_ns, std::int64_t wait_ns) {
  std::vector<Story> told;
  const std::int64_t wall_offset_ns = clock_ns(CLOCK_REALTIME) - steady_ns();
  for (Lane& lane : lanes_) {
    take_new(lane, now_ns);
    for (Open& open : lane.open) {
      if (open.told) continue;
      const bool given_up = now_ns - open.story.seen_ns >= wait_ns;
      if (!given_up && !may_be_whole(lane, open)) continue;
      look_again(lane, open);
      open.story.whole = is_whole(open.story);
      if (!open.story.whole && !given_up) continue;
      open.story.wall_offset_ns = wall_offset_ns;
      open.told = true;
      told.push_back(open.story);
    }
    while (!lane.open.empty() && lane.open.front().told) lane.open.pop_front();
  }
  return told;
}

void StoryReader::take_new(Lane& lane, std::int64_t now_ns) {
  // SYNC(trace.count): may now read the slots before it.
  const std::uint64_t count = lane.slots->count.load(std::memory_order_acquire);
  const std::uint64_t first = sane_cursor(lane.next, count);
  if (first > lane.next) lost_count_ += first - lane.next;
  for (lane.next = first; lane.next != count; ++lane.next) {
    if (lane.open.size() >= kTraceSlots) break;  // of a count that runs away
    Open open;
    open.number = lane.next;
    Story& story = open.story;
    if (!read_cell(lane.slots->slots[lane.next % kTraceSlots], lane.next, story.slot)) {
      ++lost_count_;
      continue;
    }
    story.seen_ns = now_ns;
    story.ring = lane.ring;
    story.worker = lane.worker;
    story.placed = lane.worker_marks != nullptr;
    const bool has_trace = (story.slot.trace_high | story.slot.trace_low) != 0;
    story.trace_high = has_trace ? story.slot.trace_high : random_();
    story.trace_low = has_trace ? story.slot.trace_low : random_() | 1U;
    story.span = random_() | 1U;
    lane.open.push_back(std::move(open));
  }
}

/// False: it waits for a stage that has not come, which a word or two tell. Thousands wait at once,
/// and their slots lie in the caches of those who write them.
bool StoryReader::may_be_whole(const Lane& lane, const Open& open) {
  const std::size_t at = open.number % kTraceSlots;
  const auto word_of = [](const auto& cell, std::size_t offset) {
    return cell.words[offset / 8].load(std::memory_order_relaxed);
  };
  const std::uint64_t word = word_of(lane.slots->slots[at], offsetof(TraceSlot, outcome));
  TraceOutcome outcome{};
  std::memcpy(&outcome, &word, sizeof outcome);  // the first of the word's bytes
  if (lane.worker_marks == nullptr || outcome != TraceOutcome::kPlaced) return true;
  const auto& keeper = lane.keeper_marks->marks[at];
  if (keeper.owner.load(std::memory_order_relaxed) != open.number + 1) return false;
  return !is_flushed_later(open.story) || word_of(keeper, offsetof(KeeperMark, flushed_ns)) != 0;
}

/// What has come since; a slot that is another event's by now leaves what was known.
void StoryReader::look_again(const Lane& lane, Open& open) {
  Story& story = open.story;
  const std::size_t at = open.number % kTraceSlots;
  TraceSlot slot;
  if (read_cell(lane.slots->slots[at], open.number, slot)) story.slot = slot;
  if (lane.worker_marks == nullptr) return;
  WorkerMark worker;
  if (read_cell(lane.worker_marks->marks[at], open.number, worker)) story.worker_mark = worker;
  KeeperMark keeper;
  if (read_cell(lane.keeper_marks->marks[at], open.number, keeper)) story.keeper_mark = keeper;
}

std::uint64_t StoryReader::collected(std::uint32_t lane) const {
  const Lane& of = lanes_[lane];
  return of.open.empty() ? of.next : of.open.front().number;
}

std::size_t StoryReader::open_count() const {
  std::size_t count = 0;
  for (const Lane& lane : lanes_) {
    count += static_cast<std::size_t>(std::count_if(lane.open.begin(), lane.open.end(),
                                                    [](const Open& open) { return !open.told; }));
  }
  return count;
}

std::uint64_t StoryReader::dropped_count() const {
  std::uint64_t count = lost_count_;
  for (const Lane& lane : lanes_) {
    count += lane.slots->dropped.load(std::memory_order_relaxed) - lane.dropped_before;
  }
  return count;
}

}  // namespace deja
