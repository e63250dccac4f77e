// How long the stages of an event's way take that an ingest thread can tell: receive → commit,
// commit → applied, durable → acked. One per ingest thread, that thread only; the histograms are
// shared by all threads of the process. Allocates in its constructor alone.
//
// Invariants
//  1. No event costs a clock: it is read where a pass published, found something consumed or acked,
//     once for all rings (WallReading).
//  2. Each event counts once in a stage, with the age of the oldest of its batch: a stall shows as
//     many events as it held up.
//  3. A batch is no more than what one pass published to one ring, unless more than kMarksMax of
//     them wait in it, or more than kRunsMax instants of receipt met in one pass: then the last
//     ones count as one.
//
//   receive → commit    from the event's receipt, until its ring was published
//   commit → applied    from there, until a pass finds it consumed by its worker
//   durable → acked     from the keeper's word that it is durable, until the pass that had the word
//                       has written its ack. An ack that waited for something else than the disk
//                       (a peer that does not read, a worker's verdict) is in a later pass: left
//                       out
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shm/base/clock.h"
#include "shm/process_file.h"

namespace deja {

/// The wall clock as of the first time that somebody asks.
class WallReading {
 public:
  WallReading() = default;
  explicit WallReading(std::int64_t now_us) : now_us_(now_us) {}
  [[nodiscard]] std::int64_t us() {
    if (now_us_ == 0) now_us_ = wall_us();
    return now_us_;
  }

 private:
  std::int64_t now_us_ = 0;  // 0: not read yet
};

class StageClock {
 public:
  static constexpr std::size_t kMarksMax = 64;
  static constexpr std::size_t kRunsMax = 8;

  StageClock(ProcessFile& process, std::uint32_t worker_count)
      : commit_(process.histogram("deja_event_stage_seconds{stage=\"receive_commit\"}")),
        applied_(process.histogram("deja_event_stage_seconds{stage=\"commit_applied\"}")),
        acked_(process.histogram("deja_event_stage_seconds{stage=\"durable_acked\"}")),
        lanes_(worker_count) {}
  StageClock(const StageClock&) = delete;
  StageClock& operator=(const StageClock&) = delete;

  /// An event lies in a ring that was not published since.
  void built(std::int64_t received_us) {
    if (received_us != last_run_->received_us) next_run(received_us);
    ++last_run_->event_count;
  }
  /// The worker's ring was published up to `position`, with so many events more.
  void published(std::uint32_t worker, std::uint64_t position, std::uint64_t event_count,
                 WallReading& now) {
    if (event_count == 0) return;  // nothing but what is left of rejected events
    Lane& lane = lanes_[worker];
    if (lane.mark_count == kMarksMax) {
      Mark& last = lane.marks[(lane.first_mark + kMarksMax - 1) % kMarksMax];
      last.position = position;
      last.event_count += event_count;
    } else {
      lane.marks[(lane.first_mark + lane.mark_count++) % kMarksMax] = {position, now.us(),
                                                                       event_count};
    }
  }
  /// All rings that had something were published.
  void all_published(WallReading& now) {
    for (Run* run = runs_.data(); run <= last_run_; ++run) {
      if (run->event_count == 0) continue;
      commit_.record_shared(ns_between(run->received_us, now.us()), run->event_count);
    }
    last_run_ = runs_.data();
    *last_run_ = {};
  }
  /// The worker has consumed its ring up to `position`.
  void consumed(std::uint32_t worker, std::uint64_t position, WallReading& now) {
    Lane& lane = lanes_[worker];
    while (lane.mark_count != 0 && lane.marks[lane.first_mark].position <= position) {
      const Mark& mark = lane.marks[lane.first_mark];
      applied_.record_shared(ns_between(mark.published_us, now.us()), mark.event_count);
      lane.first_mark = (lane.first_mark + 1) % kMarksMax;
      --lane.mark_count;
    }
  }
  /// This pass found more to be durable, since `durable_us` by the keeper's word (0: it has none).
  void durable(std::int64_t durable_us) { durable_us_ = durable_us; }
  /// This pass answers for so many events that they are durable.
  void acked(std::uint64_t event_count) { acked_count_ += event_count; }
  /// The pass has written its answers.
  void pass_ended(WallReading& now) {
    if (acked_count_ != 0 && durable_us_ > 0) {
      acked_.record_shared(ns_between(durable_us_, now.us()), acked_count_);
    }
    acked_count_ = 0;
    durable_us_ = 0;
  }

 private:
  struct Run {
    std::int64_t received_us = 0;
    std::uint64_t event_count = 0;
  };
  struct Mark {
    std::uint64_t position = 0;
    std::int64_t published_us = 0;
    std::uint64_t event_count = 0;
  };
  struct Lane {
    std::array<Mark, kMarksMax> marks;  // oldest at first_mark; not consumed yet
    std::size_t first_mark = 0;
    std::size_t mark_count = 0;
  };

  /// Of an instant of its own, where there is room for one more.
  void next_run(std::int64_t received_us) {
    if (last_run_->event_count != 0 && last_run_ != &runs_.back()) *++last_run_ = {};
    const bool first = last_run_->event_count == 0;
    if (first || received_us < last_run_->received_us) last_run_->received_us = received_us;
  }

  Histogram commit_;
  Histogram applied_;
  Histogram acked_;
  std::vector<Lane> lanes_;         // by worker
  std::array<Run, kRunsMax> runs_;  // of what was built and not published yet
  Run* last_run_ = runs_.data();
  std::int64_t durable_us_ = 0;
  std::uint64_t acked_count_ = 0;
};

}  // namespace deja
