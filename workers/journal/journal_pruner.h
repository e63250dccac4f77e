// Gives the journal's space back. A segment whose every record is confirmed in the store (for at
// least redis.loss_window) is needed for one thing only: the ids of its events, so that a resend is
// still known after a power loss. It is condensed to those, and condensed segments are merged, so
// that what stays is bounded by the dedup window. The keeper's thread alone; work() blocks for one
// segment's reading and writing.
//
//   segment ──all confirmed──▶ condensed (in its place) ──kCondensedMax of them──▶ merged into one
//
//  1. Nothing above the confirmed sequences is ever removed.
//  2. What a segment has at most is known without reading it: nothing above the newest sequence
//  that
//     was appended or stood in a log when it was closed.
//  3. What was written for another count of shards is condensed into today's.
//  4. An error leaves everything as it is; it is tried again later.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "workers/journal/journal_disk.h"
#include "workers/journal/journal_layout.h"
#include "workers/journal/journal_writer.h"

namespace deja {

class JournalPruner {
 public:
  static constexpr std::size_t kCondensedMax = 8;

  /// The disk outlives it. `ids_max`: the dedup window, ids for each shard.
  JournalPruner(JournalDisk& disk, JournalIdentity identity, std::uint32_t ids_max);

  /// Takes over what former lives left: all segments of the directory before `first_of_this_life`.
  /// `highest[shard]`: no record of theirs lies above. Garbage of a life that died while it made a
  /// file is removed.
  [[nodiscard]] Status adopt(JournalSegmentName first_of_this_life,
                             const std::vector<std::uint64_t>& highest);

  void appended(std::uint32_t shard, std::uint64_t sequence) {
    if (sequence > highest_[shard]) highest_[shard] = sequence;
  }
  /// Tells which segment is written to now: the one before it is closed.
  void writing(JournalSegmentName segment);

  /// Gives back what a former life had not used of its last segment, or condenses or merges one
  /// segment, if any may be. `confirmed[shard]` as in keeper_confirmed().
  /// True when there was something to do.
  [[nodiscard]] Result<bool> work(const std::vector<std::uint64_t>& confirmed);

  [[nodiscard]] std::size_t segment_count() const { return closed_.size() + condensed_.size() + 1; }

 private:
  struct Closed {
    JournalSegmentName name;
    std::vector<std::uint64_t> highest;  // by shard
  };
  using Ids = std::vector<std::vector<JournalIdLayout>>;  // by shard
  [[nodiscard]] Status read_ids(JournalSegmentName name, Ids& ids, bool& was_condensed);
  [[nodiscard]] Status write_ids(JournalSegmentName name, Ids& ids);
  [[nodiscard]] Status merge();
  void give_back_tail(JournalSegmentName name);

  JournalDisk& disk_;
  JournalIdentity identity_;
  std::uint32_t ids_max_;
  JournalSegmentName current_;
  std::vector<std::uint64_t> highest_;
  std::vector<Closed> closed_;  // oldest first
  std::vector<JournalSegmentName> condensed_;
  std::vector<JournalSegmentName> unfinished_;  // the last of each former life
};

}  // namespace deja
