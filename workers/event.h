// One event as the feature engine sees it: decoded from an EventRecord (ring/event_record.capnp),
// values by slot. Made once per worker and filled again for each event; one thread; filling and
// reading allocate nothing. Views into the log's copy of the record, valid as long as that is.
#pragma once

#include <cstdint>
#include <vector>

#include "shm/base/check.h"
#include "shm/key.h"
#include "shm/value.h"

namespace deja {

/// Elements of one array that an event may have; ingest refuses more.
inline constexpr std::uint32_t kElementsMax = 1024;

/// The values of one event: slot × element.
class EventValues {
 public:
  /// `root_of_slot[s]` is Slot.root of catalog.capnp: 0 for a single value. Allocates all it needs.
  explicit EventValues(const std::vector<std::uint16_t>& root_of_slot) {
    slots_.resize(root_of_slot.size());
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      slots_[slot].root = root_of_slot[slot];
      slots_[slot].values.resize(root_of_slot[slot] == 0 ? 1 : kElementsMax);
      if (root_of_slot[slot] >= elements_.size()) elements_.resize(root_of_slot[slot] + 1U, 0);
    }
  }

  void clear() {
    for (SlotValues& slot : slots_) slot.count = 0;
    for (std::uint32_t& count : elements_) count = 0;
  }

  /// False when there is no such slot or element: the record is not one of ours.
  [[nodiscard]] bool set(std::uint32_t slot, std::uint32_t element, const Value& value) {
    if (slot >= slots_.size() || element >= slots_[slot].values.size()) return false;
    SlotValues& into = slots_[slot];
    while (into.count <= element) into.values[into.count++] = Value{};
    into.values[element] = value;
    if (into.root != 0 && element >= elements_[into.root]) elements_[into.root] = element + 1;
    return true;
  }

  /// Whether set() has a place for it.
  [[nodiscard]] bool holds(std::uint32_t slot, std::uint32_t element) const {
    return slot < slots_.size() && element < slots_[slot].values.size();
  }

  /// Absent where the event does not have it. `element` is ignored for a slot without an array.
  [[nodiscard]] const Value& get(std::uint32_t slot, std::uint32_t element) const {
    DCHECK(slot < slots_.size());
    const SlotValues& from = slots_[slot];
    const std::uint32_t at = from.root == 0 ? 0 : element;
    return at < from.count ? from.values[at] : kAbsent;
  }

  /// How many elements the event has of the arrays of this root; 1 for root 0.
  [[nodiscard]] std::uint32_t element_count(std::uint16_t root) const {
    if (root == 0) return 1;
    return root < elements_.size() ? elements_[root] : 0;
  }

 private:
  static constexpr Value kAbsent{};

  struct SlotValues {
    std::uint16_t root = 0;
    std::uint32_t count = 0;
    std::vector<Value> values;
  };
  std::vector<SlotValues> slots_;
  std::vector<std::uint32_t> elements_ = {1};
};

/// One value of an event, and where it belongs.
struct ListedValue {
  Value value;
  std::uint16_t slot = 0;
  std::uint16_t element = 0;
};

struct Event {
  explicit Event(const std::vector<std::uint16_t>& root_of_slot) : values(root_of_slot) {}

  std::int64_t received_us = 0;
  std::int64_t time_us = 0;
  std::uint64_t id_low = 0;  ///< both 0: no id
  std::uint64_t id_high = 0;
  std::uint64_t kinds = 0;  ///< bit k: Catalog.events[k]
  std::uint32_t shard = 0;
  Key key;
  EventValues values;
};

}  // namespace deja
