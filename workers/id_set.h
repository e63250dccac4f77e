// The ids that a shard remembers, so that an event sent again is applied once: exactly the last
// `window` different ids, oldest forgotten first. Lies in the worker's file ids-<w>, one after the
// other for its shards. One thread of that worker; nothing allocates after attach().
//
//   0       8        12         16         64                     + (window + 1) × 8
//   ┌───────┬────────┬──────────┬──────────┬──────────────────────┬───────────────────┐
//   │ magic │ window │ changing │ inserted │ ids: u64 × (window+1)│ table: u64 × slots│
//   └───────┴────────┴──────────┴──────────┴──────────────────────┴───────────────────┘
//
// Invariants
//  1. The n-th id ever inserted (from 0) lies in ids[n % (window + 1)]; the set is the ids from
//     inserted − window to inserted − 1. The place of the next one belongs to none of them, so an
//     insertion is one store of `inserted`, after the id's own.
//  2. The table (open addressing, at most half full; 0 empty, else an id) says nothing that the ids
//     do not. Unless `changing` is 1 it says all that they do; else it is rebuilt from them at
//     attach. It holds the ids themselves, so that a look at it is one cache line and not two.
//
// Crash windows: killed before the store of `inserted`, the id is not in the set and the worker's
// redo inserts it; killed after it, the redo finds it there. Between the first and the last store
// of an insertion `changing` is 1: that table is rebuilt, those of the worker's other shards are
// not, which would take longer than all else that a restart does.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "shm/base/cache_line.h"

namespace deja {

struct IdSetLayout {
  std::uint64_t magic;
  std::uint32_t window;
  std::atomic<std::uint32_t> changing;
  alignas(8) std::atomic<std::uint64_t> inserted;
  std::uint8_t padding[40];
};
static_assert(sizeof(IdSetLayout) == kCacheLineBytes);
static_assert(offsetof(IdSetLayout, changing) == 12);
static_assert(offsetof(IdSetLayout, inserted) == 16);

[[nodiscard]] constexpr std::uint64_t id_table_slots(std::uint32_t dedup_window) {
  return std::bit_ceil(std::uint64_t{dedup_window} * 2 + 2);
}

/// What the set of one shard takes in its worker's file.
[[nodiscard]] constexpr std::uint64_t id_set_bytes(std::uint32_t dedup_window) {
  return round_up(sizeof(IdSetLayout) + (std::uint64_t{dedup_window} + 1) * 8 +
                      id_table_slots(dedup_window) * 8,
                  kCacheLineBytes);
}

/// A 128-bit id as the set keeps it: mixed under the incarnation's secret, so that nobody outside
/// can choose ids that meet in one chain of the table. Two of n ids are taken for one another with
/// a probability of n²/2⁶⁵. Never 0, which is nobody's. The mixer is splitmix64's (Steele, Lea,
/// Flood, 2014).
[[nodiscard]] constexpr std::uint64_t fold_id(std::uint64_t id_low, std::uint64_t id_high,
                                              const std::uint64_t (&secret)[2]) {
  const auto mix = [](std::uint64_t word) {
    word = (word ^ (word >> 30U)) * 0xbf58476d1ce4e5b9U;
    word = (word ^ (word >> 27U)) * 0x94d049bb133111ebU;
    return word ^ (word >> 31U);
  };
  const std::uint64_t folded =
      mix(mix(id_low ^ secret[0]) + (id_high ^ secret[1]) * 0x9e3779b97f4a7c15U);
  return folded != 0 ? folded : 1;
}

class IdSet {
 public:
  /// Takes the set over: formats zeroed memory of id_set_bytes(window), 64-byte aligned, else goes
  /// on with what is there. Memory of another window is formatted anew.
  IdSet(void* memory, std::uint32_t window);

  /// `id` is not 0, here and below.
  [[nodiscard]] bool contains(std::uint64_t id) const {
    for (std::uint64_t slot = id & slot_mask_; table_[slot] != 0; slot = (slot + 1) & slot_mask_) {
      if (table_[slot] == id) return true;
    }
    return false;
  }
  /// Remembers the id as the newest; false when it was there, and then nothing changes.
  bool insert(std::uint64_t id);
  /// Asks for the id's place in the table ahead of contains() or insert().
  void prefetch(std::uint64_t id) const { ask_for_line(&table_[id & slot_mask_]); }

  /// Ids ever inserted, and those of them that were forgotten again.
  [[nodiscard]] std::uint64_t inserted_count() const {
    return layout_->inserted.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t forgotten_count() const {
    const std::uint64_t inserted = inserted_count();
    return inserted > window_ ? inserted - window_ : 0;
  }

 private:
  [[nodiscard]] std::uint32_t place_of(std::uint64_t number) const {
    return static_cast<std::uint32_t>(number % (std::uint64_t{window_} + 1));
  }
  [[nodiscard]] std::uint32_t place_behind(std::uint32_t place) const {
    return place == window_ ? 0 : place + 1;
  }
  /// There are as many in it as there are ids.
  [[nodiscard]] bool table_is_sane() const;
  void rebuild();
  void set_changing(bool changing);
  void add_to_table(std::uint64_t id);
  void remove_from_table(std::uint64_t id);
  void prefetch_next() const;

  IdSetLayout* layout_;
  std::uint64_t* ids_;
  std::uint64_t* table_;
  std::uint32_t window_;
  std::uint64_t slot_mask_;
  std::uint32_t next_place_;  // of the next insertion; the oldest id's is the one behind it
};

}  // namespace deja
