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

/// `item.bytes` <= text_bytes; its text is not in this column.
void insert(const FeatureSpec& spec, std::uint8_t* column, const RecentPlace& item) {
  std::uint32_t position = spec.keep;  // where it goes
  std::uint32_t vacated = spec.keep;   // the place that it, a free one or the last one gives up
  for (std::uint32_t place = 0; place < spec.keep; ++place) {
    const RecentPlace kept = columns::recent_place(spec, column, place);
    if (kept.time == 0) {
      vacated = place;
      if (position == spec.keep) position = place;
      break;
    }
    if (same_item(kept, item)) {
      if (kept.time >= item.time) return;
      vacated = place;
      if (position == spec.keep) position = place;
      break;
    }
    if (position == spec.keep && before(item, kept)) position = place;
  }
  if (position == spec.keep) return;
  if (vacated == spec.keep) vacated = spec.keep - 1;
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
