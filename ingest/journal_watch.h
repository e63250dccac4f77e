// What one ingest thread knows of the journal: how far each of its rings is durable, and whether
// durable acks can be given at all (file `durable`, ring/positions.h, which the keeper alone
// writes and this maps read-only). That thread only; allocates in open() alone.
//
// Invariants
//  1. A durable position counts only as far as the ring was published: a keeper that answers for
//     more than there is answers for nothing, and what was known before stays.
//  2. What was durable once stays so: a position that goes back (a keeper's new life) is not
//     believed either.
#pragma once

#include <cstdint>
#include <vector>

#include "ring/positions.h"
#include "shm/segment.h"

namespace deja {

/// How long an event may wait for the disk before its ack is refused as journal_stalled. It may
/// become durable all the same, and a resend meets its id.
inline constexpr std::int64_t kJournalWaitUs = 30'000'000;

class JournalWatch {
 public:
  [[nodiscard]] static Result<JournalWatch> open(const Segment& segment, std::uint32_t thread);

  /// Loads the journal's state, and of one worker's ring how far it is durable: whether that is
  /// further than before.
  void refresh_state();
  bool refresh_position(std::uint32_t worker, std::uint64_t published_position);
  /// As of the last refresh: everything before it is durable.
  [[nodiscard]] std::uint64_t durable_position(std::uint32_t worker) const {
    return positions_[worker];
  }
  /// Whether a refresh would find something new.
  [[nodiscard]] bool state_has_news() const;
  [[nodiscard]] bool position_has_news(std::uint32_t worker,
                                       std::uint64_t published_position) const;

  /// Wall clock when the newest of what is durable became so, by the keeper's word; 0: it has none.
  /// Of the last refresh's positions, or later.
  [[nodiscard]] std::int64_t durable_us() const;

  /// The code with which durable acks are refused now; nullptr: they are given. A journal that no
  /// keeper has begun yet is no trouble: acks wait for it.
  [[nodiscard]] const char* trouble() const;
  /// A sentence for such a code, journal_stalled included.
  [[nodiscard]] static const char* sentence(const char* trouble);

 private:
  JournalWatch(MappedFile file, std::uint32_t thread, std::uint32_t ingest_count,
               std::uint32_t worker_count)
      : file_(std::move(file)),
        thread_(thread),
        ingest_count_(ingest_count),
        positions_(worker_count) {}
  [[nodiscard]] std::uint64_t load(std::uint32_t worker) const;
  [[nodiscard]] bool is_news(std::uint32_t worker, std::uint64_t position,
                             std::uint64_t published_position) const {
    return position > positions_[worker] && position <= published_position;
  }
  [[nodiscard]] JournalState load_state() const;

  MappedFile file_;
  std::uint32_t thread_;
  std::uint32_t ingest_count_;
  JournalState state_ = JournalState::kStarting;
  std::vector<std::uint64_t> positions_;
};

}  // namespace deja
