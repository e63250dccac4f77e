// Writes the journal: collects records into a group, writes and syncs it, says up to which group
// everything is durable. While one group is under way the next is collected. The keeper's thread
// alone; append() and tick() block only where a new segment is made.
//
//   append, append, … ──▶ collecting ──due──▶ under way ──synced──▶ durable_group()
//
//  1. A group is durable only after a write of its full length and a sync that both succeeded.
//  2. A segment on which a write or a sync failed is never written to again: the same group goes
//     into a new one, and so does everything after it.
//  3. Groups become durable in their order. Numbers count from 1 in each life.
//  4. While no segment can be made, records stay where they are; append() refuses once
//     kCollectedBytesMax are waiting, and its caller leaves them in the log.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ring/positions.h"
#include "workers/journal/journal_disk.h"
#include "workers/journal/journal_layout.h"

namespace deja {

struct JournalIdentity {
  std::string appliance;
  std::uint32_t shard_count = 0;
  std::string catalog;  ///< the message
};

struct JournalLimits {
  std::uint64_t segment_bytes = 64U << 20U;
  std::int64_t group_commit_ns = 1'000'000;   ///< how long a record may wait for others
  std::size_t group_bytes_due = 256U << 10U;  ///< a group this long does not wait
  std::int64_t retry_ns = 250'000'000;        ///< between two tries to make a segment
};

class JournalWriter {
 public:
  static constexpr std::size_t kCollectedBytesMax = 8U << 20U;

  /// The disk outlives it. Nothing is written before begin().
  JournalWriter(JournalDisk& disk, JournalIdentity identity, const JournalLimits& limits)
      : disk_(disk), identity_(std::move(identity)), limits_(limits) {}

  /// Makes the first segment of this life, durably: the epoch is ours from then on. After an error
  /// it may be tried again, with the same epoch.
  [[nodiscard]] Status begin(std::uint64_t epoch);

  /// False: no room now; tick() and come again. `payload` is copied.
  [[nodiscard]] bool append(const JournalRecordLayout& record,
                            std::span<const std::uint8_t> payload);

  /// Does what is due: takes the result of the group under way, begins the next. `now_ns` is
  /// steady_ns(). `at_once`: a collected group does not wait for others.
  void tick(std::int64_t now_ns, bool at_once = false);
  /// Sleeps until the group under way may be done, `bound_ns` at most; at once when there is none.
  void wait(std::int64_t bound_ns);

  /// All records appended until now are durable once durable_group() has reached it.
  [[nodiscard]] std::uint64_t covering_group() const {
    return collecting_.records == 0 ? last_begun_ : last_begun_ + 1;
  }
  [[nodiscard]] std::uint64_t durable_group() const { return durable_; }
  [[nodiscard]] bool idle() const { return !under_way_ && collecting_.records == 0; }
  [[nodiscard]] bool under_way() const { return under_way_; }

  [[nodiscard]] JournalState state() const { return state_; }
  /// Why it is not kWriting, as a sentence.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  /// The segment that is written to.
  [[nodiscard]] JournalSegmentName segment() const { return segment_; }
  [[nodiscard]] std::uint64_t written_bytes() const { return written_bytes_; }
  [[nodiscard]] std::uint64_t failures() const { return failures_; }

 private:
  struct Group {
    std::vector<std::uint8_t> bytes;  // header's place, then records; padded when it is begun
    std::uint32_t records = 0;
    std::uint64_t records_bytes = 0;  // once it is begun
    std::int64_t since_ns = 0;        // of its first record; 0: set by the next tick()
  };
  [[nodiscard]] bool make_segment(std::int64_t now_ns);
  void begin_group();
  void fail(int error_number, const std::string& what);
  static void clear(Group& group);

  JournalDisk& disk_;
  JournalIdentity identity_;
  JournalLimits limits_;
  JournalSegmentName segment_;
  std::uint64_t secret_[2] = {};
  bool segment_open_ = false;
  std::uint64_t position_ = 0;  // of the next group in it
  std::uint64_t end_ = 0;       // of the space that it was given
  Group collecting_;
  Group writing_;
  bool under_way_ = false;  // writing_ was begun, or waits for a segment
  bool submitted_ = false;  // and the disk has it
  std::uint64_t last_begun_ = 0;
  std::uint64_t durable_ = 0;
  JournalState state_ = JournalState::kStarting;
  std::string problem_;
  std::int64_t retry_at_ns_ = 0;
  std::uint64_t written_bytes_ = 0;
  std::uint64_t failures_ = 0;
};

/// The bytes of a header block and catalog, up to the first group.
[[nodiscard]] std::vector<std::uint8_t> journal_header_bytes(const JournalIdentity& identity,
                                                             JournalSegmentName segment,
                                                             bool condensed,
                                                             std::int64_t created_us,
                                                             const std::uint64_t (&secret)[2]);

}  // namespace deja
