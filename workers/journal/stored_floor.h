// Up to where the store is known to have the events, user by user, whatever number of shards it was
// told that under. A division is one count of shards with a sequence for each; what it says holds
// for all of a shard's users for good, so after a change of the count both divisions hold.
// Immutable; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "shm/key.h"

namespace deja {

class StoredFloor {
 public:
  using Division = std::vector<std::uint64_t>;  // sequences by shard

  explicit StoredFloor(Division division) { add(std::move(division)); }
  explicit StoredFloor(std::vector<Division> divisions) {
    for (Division& division : divisions) add(std::move(division));
  }

  /// The store has the user's events up to this sequence.
  [[nodiscard]] std::uint64_t of(std::uint32_t key_hash) const {
    std::uint64_t floor = 0;
    for (const Known& known : known_) {
      const auto count = static_cast<std::uint32_t>(known.by_shard.size());
      floor = std::max(floor, known.by_shard[shard_of_hash(key_hash, count)]);
    }
    return floor;
  }
  /// And those of everybody in shard `shard` of `shard_count`.
  [[nodiscard]] std::uint64_t of_shard(std::uint32_t shard_count, std::uint32_t shard) const {
    std::uint64_t floor = 0;
    for (const Known& known : known_) {
      const bool same = known.by_shard.size() == shard_count;
      floor = std::max(floor, same ? known.by_shard[shard] : known.lowest);
    }
    return floor;
  }
  /// Nobody's events are known above.
  [[nodiscard]] std::uint64_t highest() const {
    std::uint64_t highest = 0;
    for (const Known& known : known_) {
      highest = std::max(highest, *std::max_element(known.by_shard.begin(), known.by_shard.end()));
    }
    return highest;
  }

 private:
  struct Known {
    Division by_shard;
    std::uint64_t lowest = 0;
  };
  void add(Division division) {
    if (division.empty()) return;
    const std::uint64_t lowest = *std::min_element(division.begin(), division.end());
    known_.push_back({std::move(division), lowest});
  }

  std::vector<Known> known_;
};

}  // namespace deja
