// From the words of an event record (ring/event_record.capnp), which may be anybody's, to an Event.
// Every field is checked: what passes can be applied, and names a profile that this worker owns.
// One thread; no allocation.
#pragma once

#include <cstdint>
#include <vector>

#include "shm/catalog.capnp.h"
#include "shm/table_geometry.h"
#include "workers/event.h"

namespace deja {

/// The end of the year 9999, UTC: no event time and no time of receipt lies behind it or before
/// 1970.
inline constexpr std::int64_t kEventTimeMaxUs = 253'402'300'799'999'999;

class EventDecoder {
 public:
  /// For records of worker `worker`, by this catalog and geometry.
  EventDecoder(schema::Catalog::Reader catalog, const TableGeometry& geometry,
               std::uint32_t worker);

  /// Fills `event`, made for the same catalog, with views into `bytes`. False when they are not
  /// such a record; the event then holds anything.
  [[nodiscard]] bool decode(const void* bytes, std::uint32_t size, Event& event) const;

  /// The same with the values as a list at `values`, of which `count` says how many there is room
  /// for and then how many there are. A record with more fails.
  [[nodiscard]] bool decode(const void* bytes, std::uint32_t size, EventHead& head,
                            ListedValue* values, std::uint32_t& count) const;

  /// Reads id and key alone, and looks at nothing else: for a record whose decoding or applying is
  /// known to end badly. False when it has no key that could be.
  [[nodiscard]] bool decode_identity(const void* bytes, std::uint32_t size, EventHead& head) const;

 private:
  template <typename Layout>
  [[nodiscard]] bool decode_head(const Layout& record, EventHead& head) const;
  template <typename Layout>
  [[nodiscard]] bool set_values(Layout& record, EventValues& values) const;
  template <typename Layout>
  [[nodiscard]] bool list_values(Layout& record, ListedValue* values, std::uint32_t& count) const;
  template <typename Layout>
  [[nodiscard]] bool read_identity(const Layout& record, EventHead& head) const;

  TableGeometry geometry_;
  std::uint32_t worker_;
  std::uint64_t kinds_declared_;
  std::vector<std::uint32_t> elements_max_;  // by slot
};

}  // namespace deja
