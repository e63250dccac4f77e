// Finishing: what a column says at an instant. A frame keeps what any later instant needs; the
// reader adds up the panes still inside the window and applies decay up to its own now, so a value
// is right at the moment of the read. Pure functions over a private copy of a column that
// column_fits(); no allocation, libc alone, any thread. `at_us` is microseconds since the epoch.
// Costs: at most a pass over the column (top: times `keep`).
#pragma once

#include <cstdint>

#include "shm/columns/bytes.h"
#include "shm/columns/column_size.h"
#include "shm/columns/distinct_column.h"
#include "shm/columns/number_column.h"
#include "shm/columns/recent_column.h"
#include "shm/columns/session_column.h"
#include "shm/columns/top_column.h"
#include "shm/columns/value_column.h"
#include "shm/feature_spec.h"
#include "shm/value.h"

namespace deja {

struct FinishedNumber {
  bool empty = true;  ///< min, max, mean of nothing; count, sum and distinct are 0 instead
  double number = 0;  ///< finite; a whole number for count and distinct
};

/// count, sum, min, max, mean, distinct; empty for the other types.
[[nodiscard]] inline FinishedNumber finish_number(const FeatureSpec& spec,
                                                  const std::uint8_t* column, std::int64_t at_us) {
  switch (spec.type) {
    case FeatureType::kCount:
      return {false, static_cast<double>(columns::count_at(spec, column, at_us))};
    case FeatureType::kSum:
      return {false, columns::sum_at(spec, column, at_us).sum};
    case FeatureType::kMean: {
      const columns::SumAndCount total = columns::sum_at(spec, column, at_us);
      if (total.count == 0) return {};
      return {false, columns::finite(total.sum / static_cast<double>(total.count))};
    }
    case FeatureType::kMin:
    case FeatureType::kMax: {
      const std::uint64_t extreme = columns::extreme_at(spec, column, at_us);
      if (extreme == 0) return {};
      return {false, columns::finite(columns::decode_number(extreme))};
    }
    case FeatureType::kDistinct:
      return {false, columns::distinct_at(spec, column, at_us)};
    default:
      return {};
  }
}

/// first, last, trait: absent (or null, for a trait that was removed) when there is none. Text is a
/// view into the column.
[[nodiscard]] inline Value finish_value(const FeatureSpec& spec, const std::uint8_t* column) {
  return columns::value_kept(spec, column);
}

struct RecentItem {
  const char* text = nullptr;  ///< into the column, not terminated
  std::uint32_t text_bytes = 0;
  std::int64_t time_us = 0;  ///< of the item's newest event
};

/// recent: writes at most `capacity` items, newest first, and returns how many.
[[nodiscard]] inline std::uint32_t finish_recent(const FeatureSpec& spec,
                                                 const std::uint8_t* column, RecentItem* items,
                                                 std::uint32_t capacity) {
  std::uint32_t count = 0;
  while (count < spec.keep && count < capacity) {
    const columns::RecentPlace place = columns::recent_place(spec, column, count);
    if (place.time == 0) break;
    items[count++] = {place.text, place.bytes, columns::decode_instant(place.time)};
  }
  return count;
}

struct TopItem {
  const char* text = nullptr;  ///< into the column, not terminated
  std::uint32_t text_bytes = 0;
  double weight = 0;  ///< at the instant
};

/// top: writes at most `capacity` of the `keep` heaviest keys and returns how many. Heaviest first;
/// weights that agree to 1e-9 are tied, and ties go by the keys' bytes.
[[nodiscard]] inline std::uint32_t finish_top(const FeatureSpec& spec, const std::uint8_t* column,
                                              std::int64_t at_us, TopItem* items,
                                              std::uint32_t capacity) {
  const columns::PaneRange range = columns::panes_at(spec, column, at_us);
  const columns::Decay decay =
      spec.window_us == 0 ? columns::decay_at(spec, column, at_us) : columns::Decay{};
  const std::uint32_t limit = spec.keep < capacity ? spec.keep : capacity;
  std::uint32_t count = 0;
  for (std::uint32_t place = 0; place < spec.track; ++place) {
    const columns::TopKey key = columns::top_key(spec, column, place);
    if (!key.used) continue;
    const TopItem item = {key.text, key.bytes,
                          columns::top_weight_at(spec, column, place, range, decay)};
    if (spec.window_us != 0 && item.weight == 0) continue;
    const double steps = columns::quantised(item.weight);
    std::uint32_t at = count;
    while (at > 0) {
      const TopItem& before = items[at - 1];
      const double before_steps = columns::quantised(before.weight);
      if (before_steps > steps) break;
      if (before_steps == steps &&
          columns::compare_bytes(before.text, before.text_bytes, item.text, item.text_bytes) <= 0) {
        break;
      }
      --at;
    }
    if (at >= limit) continue;
    const std::uint32_t last = count < limit ? count : limit - 1;
    for (std::uint32_t move = last; move > at; --move) items[move] = items[move - 1];
    items[at] = item;
    if (count < limit) ++count;
  }
  return count;
}

struct FinishedSession {
  bool present = false;         ///< false: there was no event yet
  std::int64_t started_us = 0;  ///< of the newest session, as are the next two
  std::int64_t duration_us = 0;
  std::uint32_t events = 0;
  bool active = false;      ///< an event at that instant would belong to it
  std::uint32_t count = 0;  ///< sessions begun
};

[[nodiscard]] inline FinishedSession finish_session(const FeatureSpec& spec,
                                                    const std::uint8_t* column,
                                                    std::int64_t at_us) {
  const auto kept = columns::load<columns::SessionColumnLayout>(column);
  if (kept.current_start == 0) return {};
  const std::int64_t start = columns::decode_instant(kept.current_start);
  const std::int64_t end = columns::decode_instant(kept.current_end);
  const std::int64_t at = columns::clamp_instant(at_us);
  FinishedSession session;
  session.present = true;
  session.started_us = start;
  session.duration_us = end < start ? 0 : end - start;
  session.events = kept.current_events;
  session.active = at >= start - spec.gap_us && at <= end + spec.gap_us;
  session.count = kept.count;
  return session;
}

/// Whether what the feature says at that instant is an estimate: distinct of more items than are
/// listed, top with more keys than are tracked, session merged from histories that interleave.
[[nodiscard]] inline bool is_estimate(const FeatureSpec& spec, const std::uint8_t* column,
                                      std::int64_t at_us) {
  switch (spec.type) {
    case FeatureType::kDistinct:
      return columns::distinct_is_estimate(spec, column, at_us);
    case FeatureType::kTop:
      return columns::top_is_estimate(spec, column, at_us);
    case FeatureType::kSession:
      return columns::load<columns::SessionColumnLayout>(column).estimated != 0;
    default:
      return false;
  }
}

}  // namespace deja
