// Everything that the journal has, looked at once at start: which events lie above what the store
// is known to have, in which order they are to be applied again, which ids are to be remembered,
// and what is missing. Holds places, not events: some 40 bytes for each record. Start-up code; one
// thread.
//
//  1. The records of a shard are its sequences; the same sequence in two segments is the same
//     record (a keeper that died after a sync and before its positions writes it again).
//  2. Damage is fatal only where no other segment has what was damaged: then some sequence between
//     the store's watermark and the shard's newest is missing, and gaps() names it.
//  3. Decisions (an event that has no effect) are known before any event is handed out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "workers/journal/event_facts.h"
#include "workers/journal/journal_reader.h"

namespace deja {

class JournalIndex {
 public:
  struct Entry {
    std::uint64_t sequence = 0;
    std::uint64_t position = 0;  // of its payload
    std::uint32_t segment = 0;   // index of segments()
    std::uint32_t payload_bytes = 0;
    JournalKind kind = JournalKind::kEvent;
  };
  /// What one segment is good for, to decide later when it may go.
  struct Segment {
    JournalSegmentName name;
    bool condensed = false;
    std::string catalog;
    std::vector<std::uint64_t> highest;  // by shard: newest sequence in it; 0: none
  };

  /// Reads the whole journal. `watermarks[shard]`: records up to there are only looked at for their
  /// ids. `ids_max`: ids remembered for each shard. An error is one of reading, or a journal of
  /// another appliance or count of shards.
  [[nodiscard]] static Result<JournalIndex> build(JournalDisk& disk, std::string_view appliance,
                                                  const std::vector<std::uint64_t>& watermarks,
                                                  std::uint32_t key_bytes_max,
                                                  std::uint32_t ids_max);

  /// 0: there is no journal yet.
  [[nodiscard]] std::uint64_t highest_epoch() const { return highest_epoch_; }
  /// Newest sequence of the shard that the journal knows; 0: none.
  [[nodiscard]] std::uint64_t highest_sequence(std::uint32_t shard) const {
    return shards_[shard].highest;
  }
  /// Above the watermark, in the order of their sequences, each once: events and merges.
  [[nodiscard]] const std::vector<Entry>& entries(std::uint32_t shard) const {
    return shards_[shard].entries;
  }
  [[nodiscard]] bool is_dead(std::uint32_t shard, std::uint64_t sequence) const {
    return shards_[shard].dead.count(sequence) != 0;
  }
  /// The newest ids_max ids, in the order of their sequences.
  [[nodiscard]] const std::vector<JournalIdLayout>& ids(std::uint32_t shard) const {
    return shards_[shard].ids;
  }
  /// The bytes of an entry's payload, read again. `words` is made as long as it has to be.
  [[nodiscard]] Status read(const Entry& entry, std::vector<std::uint64_t>& words) const;
  [[nodiscard]] const std::string& catalog_of(const Entry& entry) const {
    return segments_[entry.segment].catalog;
  }

  [[nodiscard]] const std::vector<Segment>& segments() const { return segments_; }
  /// Sentences about damaged bytes, whether they cost anything or not.
  [[nodiscard]] const std::vector<std::string>& damages() const { return damages_; }
  /// Sentences about sequences that are missing between watermark and newest; empty: none is.
  [[nodiscard]] std::vector<std::string> gaps(const std::vector<std::uint64_t>& watermarks) const;

 private:
  struct None {  // JournalKind::kNone
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };
  struct Shard {
    std::uint64_t highest = 0;
    std::vector<Entry> entries;
    std::vector<JournalIdLayout> ids;
    std::vector<None> nones;
    std::unordered_set<std::uint64_t> dead;
  };
  explicit JournalIndex(JournalDisk& disk) : disk_(&disk) {}
  void take(const JournalRecordLayout& record, std::span<const std::uint8_t> payload,
            std::uint64_t position, std::uint64_t watermark, std::uint32_t key_bytes_max);
  void settle(std::uint32_t ids_max);

  JournalDisk* disk_;
  std::uint64_t highest_epoch_ = 0;
  std::vector<Segment> segments_;
  std::vector<Shard> shards_;
  std::vector<std::string> damages_;
  std::vector<std::uint64_t> words_;  // a payload at an aligned place
};

}  // namespace deja
