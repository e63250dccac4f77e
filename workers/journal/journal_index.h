// Everything that the journal has, looked at once at start: which events lie above what the store
// is known to have, in which order they are to be applied again, which ids are to be remembered,
// and what is missing. Holds places, not events: some 40 bytes for each record. Start-up code; one
// thread.
//
//  1. The records of a shard are its sequences; the same sequence in two segments of one count of
//     shards is the same record (a keeper that died after a sync and before its positions writes it
//     again).
//  2. Damage is fatal only where no other segment has what was damaged: then some sequence between
//     the store's watermark and the shard's newest is missing, and gaps() names it.
//  3. Decisions (an event that has no effect) are known before any event is handed out.
//  4. Segments may count their shards otherwise than today: what is missing is told in their
//     numbers, events and ids come out in today's. A user's events keep their order, since after a
//     change of the count every shard starts above all sequences before it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "workers/journal/event_facts.h"
#include "workers/journal/journal_reader.h"
#include "workers/journal/stored_floor.h"

namespace deja {

class JournalIndex {
 public:
  struct Entry {
    std::uint64_t sequence = 0;
    std::uint64_t position = 0;  // of its payload
    std::uint32_t segment = 0;   // index of segments_
    std::uint32_t payload_bytes = 0;
    std::uint32_t shard = 0;  // in today's count
    JournalKind kind = JournalKind::kEvent;
  };

  /// Reads the whole journal. Records up to `floor` are only looked at for their ids. `ids_max`:
  /// ids remembered for each shard. `alive` is called before each segment, since a long journal
  /// takes its time. An error is one of reading, or a journal of another appliance.
  [[nodiscard]] static Result<JournalIndex> build(
      JournalDisk& disk, std::string_view appliance, const StoredFloor& floor,
      std::uint32_t shard_count, std::uint32_t key_bytes_max, std::uint32_t ids_max,
      const std::function<void()>& alive = [] {});

  /// 0: there is no journal yet.
  [[nodiscard]] std::uint64_t highest_epoch() const { return highest_epoch_; }
  /// Newest sequence of the shard that the journal knows under today's count; 0: none.
  [[nodiscard]] std::uint64_t highest_sequence(std::uint32_t shard) const;
  /// And of all shards of other counts.
  [[nodiscard]] std::uint64_t highest_former_sequence() const;
  /// Above the floor, in the order of their sequences, each once: events, and under today's count
  /// merges; kDead where an event is to have no effect.
  [[nodiscard]] const std::vector<Entry>& entries(std::uint32_t shard) const {
    return shards_[shard].entries;
  }
  /// The newest ids_max ids, oldest first.
  [[nodiscard]] const std::vector<JournalIdLayout>& ids(std::uint32_t shard) const {
    return shards_[shard].ids;
  }
  /// The bytes of an entry's payload, read again. `words` is made as long as it has to be.
  [[nodiscard]] Status read(const Entry& entry, std::vector<std::uint64_t>& words) const;
  [[nodiscard]] const std::string& catalog_of(const Entry& entry) const {
    return segments_[entry.segment].catalog;
  }
  /// The event was written for another count of shards: its record names a shard of that.
  [[nodiscard]] bool is_moved(const Entry& entry) const {
    return segments_[entry.segment].shard_count != shards_.size();
  }

  /// Sentences about damaged bytes, whether they cost anything or not.
  [[nodiscard]] const std::vector<std::string>& damages() const { return damages_; }
  /// Sentences about sequences that are missing between floor and newest; empty: none is.
  [[nodiscard]] const std::vector<std::string>& gaps() const { return gaps_; }

 private:
  struct Segment {
    JournalSegmentName name;
    std::uint32_t shard_count = 0;
    std::string catalog;
  };
  struct None {  // JournalKind::kNone
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };
  /// A shard as some segments count them.
  struct Recorded {
    std::uint64_t floor = 0;
    std::uint64_t highest = 0;
    std::vector<Entry> entries;
    std::vector<None> nones;
    std::unordered_set<std::uint64_t> dead;
  };
  using Division = std::vector<Recorded>;
  /// One of today's.
  struct Shard {
    std::vector<Entry> entries;
    std::vector<JournalIdLayout> ids;
    std::vector<JournalIdLayout> former_ids;  // of segments with another count
  };
  JournalIndex(JournalDisk& disk, const StoredFloor& floor, std::uint32_t shard_count)
      : disk_(&disk), floor_(floor), shards_(shard_count) {}
  Division& division(std::uint32_t shard_count);
  [[nodiscard]] const Division* find_division(std::uint32_t shard_count) const;
  void take(std::uint32_t recorded_count, const JournalRecordLayout& record,
            std::span<const std::uint8_t> payload, std::uint64_t position,
            std::uint32_t key_bytes_max);
  void take_id(std::uint32_t recorded_count, std::uint32_t recorded, const JournalIdLayout& id);
  void bound_ids(std::uint32_t ids_max);
  void settle(std::uint32_t ids_max);
  void find_gaps(const Recorded& recorded, std::uint32_t number);

  JournalDisk* disk_;
  StoredFloor floor_;
  std::uint64_t highest_epoch_ = 0;
  std::vector<Segment> segments_;
  std::vector<Division> divisions_;
  std::vector<Shard> shards_;
  std::vector<std::string> damages_;
  std::vector<std::string> gaps_;
  std::vector<std::uint64_t> words_;  // a payload at an aligned place
};

}  // namespace deja
