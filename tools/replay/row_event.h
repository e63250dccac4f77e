// From a row to an event, as the map says. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tools/replay/datum.h"
#include "tools/replay/replay_map.h"
#include "tools/replay/rows.h"

namespace deja {

/// A Segment-shaped event, ready to be sent either way.
struct ReplayEvent {
  std::string type;  ///< "track", …
  std::string name;
  std::string user;       ///< empty: anonymous
  std::string anonymous;  ///< empty: none
  std::string id;
  std::int64_t time_us = 0;
  Datum properties;
  Datum traits;
  Datum context;
};

enum class RowOutcome {
  kEvent,
  kNoUser,   ///< neither user nor anonymous has a value
  kNoRule,   ///< no [[event]] holds
  kBadTime,  ///< the time can't be read, or lies in no year from 0 to 9999
};

class RowEvents {
 public:
  /// `source_name` begins the ids of a map without `id`. The map must outlive this.
  RowEvents(const ReplayMap& map, std::string source_name);

  [[nodiscard]] RowOutcome make(const Row& row, ReplayEvent& event) const;

 private:
  const ReplayMap& map_;
  std::string source_name_;
};

/// A column's value as a text: numbers as JSON has them; nothing for an absent or null one, or one
/// that the cast can't make sense of.
[[nodiscard]] std::optional<std::string> cast_text(const Value& value, Cast cast);
/// As a value of the event.
[[nodiscard]] Datum cast_datum(const Value& value, Cast cast);

}  // namespace deja
