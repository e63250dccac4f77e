// One event as the feature engine sees it: decoded from an EventRecord (ring/event_record.capnp),
// values by slot. Made once per worker and filled again for each event; one thread; filling and
// reading allocate nothing. Views into a copy of the record, valid as long as that is.
#pragma once

#include <cstdint>
#include <vector>

#include "shm/base/check.h"
#include "shm/key.h"
#include "shm/value.h"

namespace deja {

/// Elements of one array that an event may have; ingest refuses more.
inline constexpr std::uint32_t kElementsMax = 1024;

/// Elements that an event may have of a slot with this Slot.root of catalog.capnp: 0, no array.
[[nodiscard]] constexpr std::uint32_t elements_max(std::uint16_t root) {
  return root == 0 ? 1 : kElementsMax;
}

/// One value of an event, and where it belongs.
struct ListedValue {
  Value value;
  std::uint16_t slot = 0;
  std::uint16_t element = 0;
};

/// The values of one event: slot × element. Single values are looked at where they are listed, and
/// what an event did not have is not touched when the next one comes: an event costs what it has.
class EventValues {
 public:
  /// `root_of_slot[s]` is Slot.root of catalog.capnp: 0 for a single value. Allocates all it needs.
  explicit EventValues(const std::vector<std::uint16_t>& root_of_slot) {
    slots_.resize(root_of_slot.size());
    touched_.resize(root_of_slot.size() + 1);
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      slots_[slot].root = root_of_slot[slot];
      slots_[slot].own.resize(elements_max(root_of_slot[slot]));
      if (root_of_slot[slot] >= elements_.size()) elements_.resize(root_of_slot[slot] + 1U, 0);
    }
  }
  EventValues(const EventValues&) = delete;  // it points into itself
  EventValues& operator=(const EventValues&) = delete;

  void clear() {
    for (std::uint32_t at = 0; at < touched_count_; ++at) {
      SlotValues& slot = slots_[touched_[at]];
      slot.count = 0;
      slot.single = &kAbsent;
      if (slot.root != 0) elements_[slot.root] = 0;
    }
    touched_count_ = 0;
  }

  /// False when there is no such slot or element: the record is not one of ours.
  [[nodiscard]] bool set(std::uint32_t slot, std::uint32_t element, const Value& value) {
    if (!holds(slot, element)) return false;
    SlotValues& into = slots_[slot];
    touch(slot);
    while (into.count <= element) into.own[into.count++] = Value{};
    into.own[element] = value;
    if (into.root == 0) {
      into.single = into.own.data();
    } else if (element >= elements_[into.root]) {
      elements_[into.root] = element + 1;
    }
    return true;
  }

  /// set() of a value that has a place here and stays where it is until the next clear().
  void show(const ListedValue& listed) {
    DCHECK(holds(listed.slot, listed.element));
    SlotValues& into = slots_[listed.slot];
    if (into.root != 0) {
      CHECK(set(listed.slot, listed.element, listed.value));
      return;
    }
    touch(listed.slot);
    into.count = 1;
    into.single = &listed.value;
  }

  /// Whether set() has a place for it.
  [[nodiscard]] bool holds(std::uint32_t slot, std::uint32_t element) const {
    return slot < slots_.size() && element < slots_[slot].own.size();
  }

  /// Absent where the event does not have it. `element` is ignored for a slot without an array.
  [[nodiscard]] const Value& get(std::uint32_t slot, std::uint32_t element) const {
    DCHECK(slot < slots_.size());
    const SlotValues& from = slots_[slot];
    if (from.root == 0) return *from.single;
    return element < from.count ? from.own[element] : kAbsent;
  }

  /// How many elements the event has of the arrays of this root; 1 for root 0.
  [[nodiscard]] std::uint32_t element_count(std::uint16_t root) const {
    if (root == 0) return 1;
    return root < elements_.size() ? elements_[root] : 0;
  }

 private:
  static constexpr Value kAbsent{};

  struct SlotValues {
    const Value* single = &kAbsent;  ///< of root 0
    std::uint32_t count = 0;
    std::uint16_t root = 0;
    std::vector<Value> own;
  };
  /// Before the first value of a slot is there.
  void touch(std::uint32_t slot) {
    touched_[touched_count_] = slot;
    touched_count_ += slots_[slot].count == 0 ? 1U : 0U;
  }

  std::vector<SlotValues> slots_;
  std::vector<std::uint32_t> touched_;  // each slot once, and room for one that was before
  std::uint32_t touched_count_ = 0;
  std::vector<std::uint32_t> elements_ = {1};
};

/// All of an event but its values.
struct EventHead {
  std::int64_t received_us = 0;
  std::int64_t time_us = 0;
  std::uint64_t id_low = 0;  ///< both 0: no id
  std::uint64_t id_high = 0;
  std::uint64_t kinds = 0;  ///< bit k: Catalog.events[k]
  std::uint32_t shard = 0;
  Key key;

  [[nodiscard]] bool has_id() const { return (id_low | id_high) != 0; }
};

struct Event : EventHead {
  explicit Event(const std::vector<std::uint16_t>& root_of_slot) : values(root_of_slot) {}

  EventValues values;
};

}  // namespace deja
