// What a worker keeps of one batch between the phases of its step: a fixed list of the records
// taken, and two small sets that answer "earlier in this very batch?" for ids and for users.
// One thread; all memory is there from the start.
#pragma once

#include <array>
#include <cstdint>

#include "ring/log_record.h"
#include "workers/event.h"

namespace deja {

inline constexpr std::uint32_t kBatchRecordsMax = 256;
/// Their bytes together; a record that is longer alone is a batch of its own.
inline constexpr std::uint32_t kStagedBytesMax = 256 * 1024;

/// Values of all records of a batch together that are kept from reading a record to applying it.
inline constexpr std::uint32_t kBatchValuesMax = kBatchRecordsMax * 8;

/// A set of at most kBatchRecordsMax hashes with a number each, emptied in O(1). Open addressing, a
/// quarter full.
class BatchSet {
 public:
  void clear() {
    if (++generation_ == 0) {
      slots_.fill({});
      generation_ = 1;
    }
  }
  [[nodiscard]] bool contains(std::uint64_t hash) const {
    return slots_[slot_of(hash)].generation == generation_;
  }
  /// Where the hash's number is; null when it is not in the set.
  [[nodiscard]] std::uint32_t* find(std::uint64_t hash) {
    Slot& slot = slots_[slot_of(hash)];
    return slot.generation == generation_ ? &slot.number : nullptr;
  }
  void insert(std::uint64_t hash, std::uint32_t number = 0) {
    slots_[slot_of(hash)] = {hash, generation_, number};
  }

 private:
  struct Slot {
    std::uint64_t hash = 0;
    std::uint32_t generation = 0;
    std::uint32_t number = 0;
  };
  /// The hash's, or the empty one where it would go.
  [[nodiscard]] std::size_t slot_of(std::uint64_t hash) const {
    std::size_t slot = hash % slots_.size();
    while (slots_[slot].generation == generation_ && slots_[slot].hash != hash) {
      slot = (slot + 1) % slots_.size();
    }
    return slot;
  }

  std::array<Slot, std::size_t{kBatchRecordsMax} * 4> slots_{};
  std::uint32_t generation_ = 1;
};

/// A record of the batch. Each part is filled in its phase and stays as it is from then on.
struct BatchRecord {
  // Once it is out of the ring (worker_stage.cc).
  const std::uint8_t* bytes = nullptr;  ///< a private copy; nobody reads the ring's once more
  std::uint32_t size_bytes = 0;         ///< 0 where it was longer than any event can be
  bool rejected = false;                ///< a rejected event's (ring/rejected_event.h)
  bool poisoned = false;                ///< three workers died of it
  bool is_event = false;                ///< decoded; what follows of this part is only then
  bool has_id = false;
  bool listed = false;  ///< its values found room in the batch's list; else they are decoded again
  std::uint64_t ring_position = 0;
  std::uint64_t ring_end = 0;
  std::uint32_t values_begin = 0;
  std::uint32_t value_count = 0;
  std::uint32_t shard_index = 0;  ///< among the worker's own
  std::uint32_t likely_block = 0;
  std::uint64_t id = 0;  ///< folded
  std::uint64_t user_hash = 0;
  EventHead head;

  // Once its log record is written.
  std::uint64_t log_position = 0;
  const std::uint8_t* logged = nullptr;  ///< LogRecordLayout, then the event
  LogKind kind = LogKind::kDead;
  bool new_user = false;  ///< kApplied only, as what follows: the first of the batch with a key
                          ///< that has no profile
  bool began_partial = false;
  bool follows = false;          ///< it is some record's next_event
  std::uint32_t next_event = 0;  ///< in the batch, of the same profile; 0: none
  std::uint64_t sequence = 0;
  std::uint64_t position = 0;  ///< of the profile's entry; ShardWriter::kNowhere: none yet
};

}  // namespace deja
