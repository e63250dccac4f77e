#include "workers/features/recent_apply.h"

#include <cstring>

#include "shm/columns/recent_column.h"
#include "workers/features/item_text.h"
#include "workers/features/text_probe.h"

namespace deja::features {
namespace {

using columns::load;
using columns::RecentPlace;

/// True when a comes before b.
bool before(const RecentPlace& a, const RecentPlace& b) {
  if (a.time != b.time) return a.time > b.time;
  return columns::compare_bytes(a.text, a.bytes, b.text, b.bytes) < 0;
}

/// Moves the places from..to-1 one further, over the place `to`.
void move_back(const FeatureSpec& spec, std::uint8_t* column, std::uint32_t from,
               std::uint32_t to) {
  if (from == to) return;
  const std::uint32_t count = to - from;
  std::uint8_t* times = column + columns::recent_time_offset(from);
  std::uint8_t* lengths = column + columns::recent_length_offset(spec, from);
  std::uint8_t* texts = column + columns::recent_text_offset(spec, from);
  std::memmove(times + 8, times, std::size_t{8} * count);
  std::memmove(lengths + 1, lengths, count);
  std::memmove(texts + spec.text_bytes, texts, std::size_t{spec.text_bytes} * count);
}

/// The item's place, else the first free one, else `keep`.
[[gnu::always_inline]] inline std::uint32_t place_of(const FeatureSpec& spec,
                                                     const std::uint8_t* column,
                                                     const RecentPlace& item) {
  const TextProbe probe(item.text, item.bytes, spec.text_bytes);
  const auto is_free = [&](std::uint32_t place) {
    return load<std::uint64_t>(column + columns::recent_time_offset(place)) == 0;
  };
  const auto length = [&](std::uint32_t place) -> std::uint32_t {
    return column[columns::recent_length_offset(spec, place)];
  };
  return probe.find(column + columns::recent_text_offset(spec, 0), spec.keep, is_free, length);
}

/// `item.bytes` <= text_bytes; its text is not in this column.
[[gnu::always_inline]] inline void insert(const FeatureSpec& spec, std::uint8_t* column,
                                          const RecentPlace& item) {
  std::uint32_t vacated = place_of(spec, column, item);  // what it, or the last one, gives up
  const bool kept = vacated < spec.keep;
  if (kept && columns::recent_place(spec, column, vacated).time >= item.time) return;
  std::uint32_t position = 0;  // where it goes
  while (position < vacated && !before(item, columns::recent_place(spec, column, position))) {
    ++position;
  }
  if (position == spec.keep) return;
  if (!kept) vacated = spec.keep - 1;
  move_back(spec, column, position, vacated);
  columns::store(column + columns::recent_time_offset(position), item.time);
  column[columns::recent_length_offset(spec, position)] = static_cast<std::uint8_t>(item.bytes);
  columns::store_text(column + columns::recent_text_offset(spec, position), spec.text_bytes,
                      item.text, item.bytes);
}

}  // namespace

Applied apply_recent(const FeatureSpec& spec, std::uint8_t* column, std::uint64_t time,
                     const Value& value) {
  const ItemText item(value);
  if (!item.there()) return Applied::kSkipped;
  insert(spec, column, {time, item.text(), item.bytes_within(spec.text_bytes)});
  return Applied::kTaken;
}

void merge_recent(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from) {
  for (std::uint32_t place = 0; place < spec.keep; ++place) {
    const RecentPlace theirs = columns::recent_place(spec, from, place);
    if (theirs.time == 0) return;
    insert(spec, into, theirs);
  }
}

}  // namespace deja::features
