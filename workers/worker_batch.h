// What a worker keeps of one batch between the phases of its step: a fixed list of the records
// taken, and two small sets that answer "earlier in this very batch?" for ids and for users.
// One thread; all memory is there from the start.
#pragma once

#include <array>
#include <cstdint>

#include "ring/log_record.h"

namespace deja {

inline constexpr std::uint32_t kBatchRecordsMax = 256;

/// A set of at most kBatchRecordsMax hashes, emptied in O(1). Open addressing, a quarter full.
class BatchSet {
 public:
  void clear() {
    if (++generation_ == 0) {
      slots_.fill({});
      generation_ = 1;
    }
  }
  [[nodiscard]] bool contains(std::uint64_t hash) const {
    std::size_t slot = hash % slots_.size();
    while (slots_[slot].generation == generation_) {
      if (slots_[slot].hash == hash) return true;
      slot = (slot + 1) % slots_.size();
    }
    return false;
  }
  void insert(std::uint64_t hash) {
    std::size_t slot = hash % slots_.size();
    while (slots_[slot].generation == generation_) slot = (slot + 1) % slots_.size();
    slots_[slot] = {hash, generation_};
  }

 private:
  struct Slot {
    std::uint64_t hash = 0;
    std::uint64_t generation = 0;
  };
  std::array<Slot, std::size_t{kBatchRecordsMax} * 4> slots_{};
  std::uint64_t generation_ = 1;
};

/// A record of the batch, once its log record is written.
struct BatchRecord {
  LogKind kind = LogKind::kDead;
  std::uint32_t shard_index = 0;  ///< among the worker's own; kApplied only, as what follows
  std::uint64_t sequence = 0;
  std::int64_t received_us = 0;
  std::uint64_t id = 0;  ///< folded
  bool has_id = false;
  bool new_user = false;  ///< the first of the batch with a key that has no profile
  bool began_partial = false;
  std::uint64_t user_hash = 0;
  std::uint64_t log_position = 0;
  const std::uint8_t* event = nullptr;  ///< the log's copy
  std::uint32_t event_bytes = 0;
};

}  // namespace deja
