#include "workers/id_set.h"

#include <algorithm>
#include <cstring>

#include "shm/base/crash_point.h"

namespace deja {
namespace {

constexpr std::uint64_t kIdSetMagic = 0x3354'4553'444a'4544;  // "DEJDSET3"

}  // namespace

IdSet::IdSet(void* memory, std::uint32_t window)
    : layout_(static_cast<IdSetLayout*>(memory)),
      ids_(reinterpret_cast<std::uint64_t*>(layout_ + 1)),
      table_(ids_ + window + 1),
      window_(window),
      slot_mask_(id_table_slots(window) - 1) {
  if (layout_->magic != kIdSetMagic || layout_->window != window) {
    set_changing(true);
    layout_->inserted.store(0, std::memory_order_relaxed);
    layout_->window = window;
    std::atomic_signal_fence(std::memory_order_release);  // a kill respects program order
    layout_->magic = kIdSetMagic;
  }
  next_place_ = place_of(inserted_count());
  if (layout_->changing.load(std::memory_order_relaxed) != 0 || !table_is_sane()) rebuild();
}

void IdSet::set_changing(bool changing) {
  // A kill respects program order, so the compiler alone has to be held to it.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  layout_->changing.store(changing ? 1 : 0, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

bool IdSet::table_is_sane() const {
  // One pass without a branch, which vectors take: it runs over all tables at each attach.
  const std::uint64_t* table = table_;
  const std::uint64_t slots = slot_mask_ + 1;
  std::uint64_t used_count = 0;
  for (std::uint64_t slot = 0; slot < slots; ++slot) used_count += table[slot] != 0 ? 1U : 0U;
  return used_count == inserted_count() - forgotten_count();
}

void IdSet::rebuild() {
  set_changing(true);
  std::memset(table_, 0, (slot_mask_ + 1) * sizeof *table_);
  const std::uint64_t inserted = inserted_count();
  for (std::uint64_t number = forgotten_count(); number < inserted; ++number) {
    add_to_table(ids_[place_of(number)]);
  }
  set_changing(false);
}

bool IdSet::insert(std::uint64_t id) {
  if (window_ == 0 || contains(id)) return false;
  const std::uint64_t inserted = inserted_count();
  set_changing(true);
  if (inserted >= window_) remove_from_table(ids_[place_behind(next_place_)]);
  const std::uint32_t place = next_place_;
  ids_[place] = id;
  CRASH_POINT("worker.in_id_set");
  layout_->inserted.store(inserted + 1, std::memory_order_release);
  add_to_table(id);
  set_changing(false);
  next_place_ = place_behind(place);
  prefetch_next();
  return true;
}

/// Asks for what the next insertion, some other shards' insertions from now, will take away.
void IdSet::prefetch_next() const {
  if (inserted_count() < window_) return;
  const std::uint32_t oldest = place_behind(next_place_);
  prefetch(ids_[oldest]);
  // The line of the ids after this one, which nobody has looked at for a whole window.
  if (oldest + 8 <= window_) ask_for_line(&ids_[oldest + 8]);
}

void IdSet::add_to_table(std::uint64_t id) {
  std::uint64_t slot = id & slot_mask_;
  while (table_[slot] != 0) slot = (slot + 1) & slot_mask_;
  table_[slot] = id;
}

void IdSet::remove_from_table(std::uint64_t id) {
  std::uint64_t hole = id & slot_mask_;
  while (table_[hole] != id) {
    if (table_[hole] == 0) return;
    hole = (hole + 1) & slot_mask_;
  }
  // Linear probing without tombstones: whoever lies behind and may begin at the hole moves into it.
  for (std::uint64_t slot = (hole + 1) & slot_mask_; table_[slot] != 0;
       slot = (slot + 1) & slot_mask_) {
    const std::uint64_t wanted = table_[slot] & slot_mask_;
    if (((slot - wanted) & slot_mask_) >= ((slot - hole) & slot_mask_)) {
      table_[hole] = table_[slot];
      hole = slot;
    }
  }
  table_[hole] = 0;
}

}  // namespace deja
