// Puts stories together out of the files that ingest, workers and keeper write (read-only here, and
// not believed: ring/trace_layout.h). Each lane's stories are told in any order, and its slots
// given back in theirs. Memory is bounded by the slots. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <vector>

#include "ring/trace_layout.h"
#include "shm/segment.h"
#include "tools/trace/story.h"

namespace deja {

class StoryReader {
 public:
  /// What is followed from now on is seen; what was before is not.
  [[nodiscard]] static Result<StoryReader> open(const Segment& segment);

  /// Looks at what is new; the stories that are told now: whole, or given up since they were first
  /// seen `wait_ns` ago.
  [[nodiscard]] std::vector<Story> poll(std::int64_t now_ns, std::int64_t wait_ns);

  [[nodiscard]] std::uint32_t lane_count() const {
    return static_cast<std::uint32_t>(lanes_.size());
  }
  /// The slots of that lane before this number are not looked at any more.
  [[nodiscard]] std::uint64_t collected(std::uint32_t lane) const;
  /// Stories that were begun and not told yet.
  [[nodiscard]] std::size_t open_count() const;
  /// Events that were to be followed and found no slot, and slots that could not be read.
  [[nodiscard]] std::uint64_t dropped_count() const;

 private:
  struct Open {
    std::uint64_t number = 0;
    Story story;
    bool told = false;
  };
  struct Lane {
    const TraceLaneLayout* slots = nullptr;
    const WorkerTraceLayout* worker_marks = nullptr;  // nullptr: of events that are in no ring
    const KeeperTraceLayout* keeper_marks = nullptr;
    std::uint32_t ring = 0;
    std::uint32_t worker = 0;
    std::uint64_t next = 0;  // the first number that was not seen
    std::uint64_t dropped_before = 0;
    std::deque<Open> open;  // in their order
  };
  StoryReader() = default;
  void take_new(Lane& lane, std::int64_t now_ns);
  [[nodiscard]] static bool may_be_whole(const Lane& lane, const Open& open);
  static void look_again(const Lane& lane, Open& open);

  std::vector<MappedFile> files_;
  std::vector<Lane> lanes_;
  std::uint64_t lost_count_ = 0;
  std::mt19937_64 random_{std::random_device{}()};
};

}  // namespace deja
