#include "workers/features/distinct_apply.h"

#include <bit>
#include <cstring>

#include "shm/columns/distinct_column.h"
#include "shm/columns/item_hash.h"
#include "workers/features/item_text.h"

namespace deja::features {
namespace {

using columns::kDistinctListed;
using columns::load;
using columns::pane_set;
using columns::store;

void store_set(const FeatureSpec& spec, std::uint8_t* column, std::uint32_t place,
               std::uint64_t slots) {
  std::memcpy(column + columns::distinct_set_offset(spec, place), &slots,
              columns::pane_set_bytes(spec));
}

void clear_slot(const FeatureSpec& spec, std::uint8_t* column, std::uint32_t slot) {
  for (std::uint32_t place = 0; place < kDistinctListed; ++place) {
    const std::uint64_t slots = pane_set(spec, column, place);
    store_set(spec, column, place, slots & ~(std::uint64_t{1} << slot));
  }
  std::memset(column + columns::distinct_registers_offset(spec, slot), 0, columns::kRegisterBytes);
}

/// How many panes before the newest one the newest of `slots` (not 0) lies.
std::uint32_t age_of(const FeatureSpec& spec, std::uint32_t newest_slot, std::uint64_t slots) {
  const std::uint64_t up_to_newest = slots & (~std::uint64_t{0} >> (63U - newest_slot));
  const auto highest =
      static_cast<std::uint32_t>(63 - std::countl_zero(up_to_newest != 0 ? up_to_newest : slots));
  return up_to_newest != 0 ? newest_slot - highest : newest_slot + spec.panes - highest;
}

/// An item and where it was seen. The newest come first: by age, then by hash.
struct Sighting {
  std::uint64_t hash = 0;
  std::uint64_t slots = 0;
  std::uint32_t age = 0;

  [[nodiscard]] bool newer_than(const Sighting& other) const {
    return age != other.age ? age < other.age : hash > other.hash;
  }
};

void mark_loss(const FeatureSpec& spec, std::uint8_t* column, std::uint32_t age) {
  std::uint8_t& loss = column[columns::distinct_loss_offset(spec)];
  const auto lost = static_cast<std::uint8_t>(age + 1);
  if (loss == 0 || lost < loss) loss = lost;
}

void write(const FeatureSpec& spec, std::uint8_t* column, std::uint32_t place,
           const Sighting& item) {
  store(column + columns::distinct_hash_offset(spec, place), item.hash);
  store_set(spec, column, place, item.slots);
}

/// Puts an item seen in `slots` (kept ones, not 0) into the list.
void add_to_list(const FeatureSpec& spec, std::uint8_t* column, std::uint32_t newest_slot,
                 std::uint64_t hash, std::uint64_t slots) {
  const Sighting item = {hash, slots, age_of(spec, newest_slot, slots)};
  std::uint32_t free_place = kDistinctListed;
  std::uint32_t oldest_place = kDistinctListed;
  Sighting oldest;
  for (std::uint32_t place = 0; place < kDistinctListed; ++place) {
    const std::uint64_t seen = pane_set(spec, column, place);
    if (seen == 0) {
      free_place = place;
      continue;
    }
    const Sighting listed = {
        load<std::uint64_t>(column + columns::distinct_hash_offset(spec, place)), seen,
        age_of(spec, newest_slot, seen)};
    if (listed.hash == hash) {
      store_set(spec, column, place, seen | slots);
      return;
    }
    if (oldest_place == kDistinctListed || oldest.newer_than(listed)) {
      oldest_place = place;
      oldest = listed;
    }
  }
  if (free_place != kDistinctListed) {
    write(spec, column, free_place, item);
  } else if (item.newer_than(oldest)) {
    mark_loss(spec, column, oldest.age);
    write(spec, column, oldest_place, item);
  } else {
    mark_loss(spec, column, item.age);
  }
}

}  // namespace

Applied apply_distinct(const FeatureSpec& spec, std::uint8_t* column, const columns::PanePlace& at,
                       const Value& value) {
  const ItemText item(value);
  if (!item.there()) return Applied::kSkipped;
  const auto clear = [&](std::uint32_t slot) { clear_slot(spec, column, slot); };
  const Advance advance = advance_to(spec, column, at.pane, clear);
  if (advance.late) return Applied::kLate;
  std::uint8_t& loss = column[columns::distinct_loss_offset(spec)];
  loss = moved_age(spec, loss, advance.moved);
  const std::uint64_t hash = columns::item_hash(item.text(), item.bytes());
  columns::add_hash(column + columns::distinct_registers_offset(spec, at.slot), hash);
  const std::int64_t newest = columns::panes_kept(spec, column).last;
  const std::uint32_t newest_slot = newest == at.pane ? at.slot : columns::pane_slot(spec, newest);
  add_to_list(spec, column, newest_slot, hash, std::uint64_t{1} << at.slot);
  return Applied::kTaken;
}

void merge_distinct(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from) {
  const columns::PaneRange theirs = columns::panes_kept(spec, from);
  if (theirs.empty()) return;
  const auto clear = [&](std::uint32_t slot) { clear_slot(spec, into, slot); };
  const auto combine = [&](std::uint32_t slot) {
    const std::uint32_t registers = columns::distinct_registers_offset(spec, slot);
    columns::merge_registers(into + registers, from + registers);
  };
  const std::int64_t moved = merge_panes(spec, into, from, clear, combine);
  const columns::PaneRange ours = columns::panes_kept(spec, into);
  std::uint8_t& loss = into[columns::distinct_loss_offset(spec)];
  loss = merged_age(spec, ours.last, moved_age(spec, loss, moved), theirs.last,
                    from[columns::distinct_loss_offset(spec)]);
  const columns::PaneRange shared = {ours.first > theirs.first ? ours.first : theirs.first,
                                     theirs.last};
  const std::uint64_t kept_slots = columns::slots_of(spec, shared);
  const std::uint32_t newest_slot = columns::pane_slot(spec, ours.last);
  for (std::uint32_t place = 0; place < kDistinctListed; ++place) {
    const std::uint64_t slots = pane_set(spec, from, place) & kept_slots;
    if (slots == 0) continue;
    add_to_list(spec, into, newest_slot,
                load<std::uint64_t>(from + columns::distinct_hash_offset(spec, place)), slots);
  }
}

}  // namespace deja::features
