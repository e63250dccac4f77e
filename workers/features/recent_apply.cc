#include "workers/features/recent_apply.h"

#include <cstring>

#include "shm/columns/recent_column.h"
#include "workers/features/item_text.h"

namespace deja::features {
namespace {

using columns::RecentPlace;

/// True when a comes before b.
bool before(const RecentPlace& a, const RecentPlace& b) {
  if (a.time != b.time) return a.time > b.time;
  return columns::compare_bytes(a.text, a.bytes, b.text, b.bytes) < 0;
}

bool same_item(const RecentPlace& a, const RecentPlace& b) {
  return a.bytes == b.bytes && same_bytes(a.text, b.text, a.bytes);
}

/// Moves the places from..to-1 one further, over the place `to`.
void move_back(const FeatureSpec& spec, std::uint8_t* column, std::uint32_t from,
               std::uint32_t to) {
  const std::uint32_t count = to - from;
  std::uint8_t* times = column + columns::recent_time_offset(from);
  std::uint8_t* lengths = column + columns::recent_length_offset(spec, from);
  std::uint8_t* texts = column + columns::recent_text_offset(spec, from);
  std::memmove(times + 8, times, std::size_t{8} * count);
  std::memmove(lengths + 1, lengths, count);
  std::memmove(texts + spec.text_bytes, texts, std::size_t{spec.text_bytes} * count);
}

/// The item's place, else the first free one, else `keep`.
std::uint32_t place_of(const FeatureSpec& spec, const std::uint8_t* column,
                       const RecentPlace& item) {
  std::uint32_t place = 0;
  for (; place < spec.keep; ++place) {
    const RecentPlace kept = columns::recent_place(spec, column, place);
    if (kept.time == 0 || same_item(kept, item)) break;
  }
  return place;
}

/// `item.bytes` <= text_bytes; its text is not in this column.
void insert(const FeatureSpec& spec, std::uint8_t* column, const RecentPlace& item) {
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
  std::uint8_t* text = column + columns::recent_text_offset(spec, position);
  std::memset(text, 0, spec.text_bytes);
  if (item.bytes > 0) std::memcpy(text, item.text, item.bytes);
}

}  // namespace

Applied apply_recent(const FeatureSpec& spec, std::uint8_t* column, std::int64_t time_us,
                     const Value& value) {
  const ItemText item(value);
  if (!item.there()) return Applied::kSkipped;
  insert(spec, column,
         {columns::encode_instant(time_us), item.text(), item.bytes_within(spec.text_bytes)});
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
