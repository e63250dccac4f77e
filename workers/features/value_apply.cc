#include "workers/features/value_apply.h"

#include "shm/columns/value_column.h"

namespace deja::features {
namespace {

/// `value` as it would be kept, cut and normalised.
Value normalised(const FeatureSpec& spec, const Value& value) {
  Value kept;
  kept.kind = value.kind;
  if (value.kind == ValueKind::kText) {
    kept.text = value.text;
    kept.text_bytes = cut_text(value.text, value.text_bytes, spec.text_bytes);
  } else if (value.kind != ValueKind::kNull) {
    kept.number = columns::finite(value.number);
  }
  return kept;
}

/// Puts a normalised value into the column.
[[gnu::always_inline]] inline void write(const FeatureSpec& spec, std::uint8_t* column,
                                         std::uint64_t time, const Value& value) {
  columns::store(column + columns::kValueTimeOffset, time);
  column[columns::kValueKindOffset] = static_cast<std::uint8_t>(value.kind);
  column[columns::kValueLengthOffset] = static_cast<std::uint8_t>(value.text_bytes);
  std::uint8_t* payload = column + columns::kValuePayloadOffset;
  const std::uint32_t room = columns::value_column_bytes(spec) - columns::kValuePayloadOffset;
  if (value.kind == ValueKind::kText) {
    return columns::store_text(payload, room, value.text, value.text_bytes);
  }
  columns::store(payload, value.number);
  columns::store_text(payload + 8, room - 8, nullptr, 0);
}

/// `value` against one of the same time. Apart, so that the common way calls nothing.
[[gnu::noinline]] void keep_better_of_a_time(const FeatureSpec& spec, std::uint8_t* column,
                                             std::uint64_t time, const Value& value) {
  const Value kept = normalised(spec, value);
  const int order = compare(kept, columns::value_kept(spec, column));
  if (spec.type == FeatureType::kFirst ? order < 0 : order > 0) write(spec, column, time, kept);
}

}  // namespace

void keep_better(const FeatureSpec& spec, std::uint8_t* column, std::uint64_t time,
                 const Value& value) {
  if (decided_by_time(spec.type == FeatureType::kFirst, column, time)) return;
  if (time == columns::load<std::uint64_t>(column + columns::kValueTimeOffset)) {
    return keep_better_of_a_time(spec, column, time, value);
  }
  write(spec, column, time, normalised(spec, value));
}

void merge_value(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from) {
  const auto time = columns::load<std::uint64_t>(from + columns::kValueTimeOffset);
  const Value value = columns::value_kept(spec, from);
  if (time == 0 || value.absent()) return;
  keep_better(spec, into, time, value);
}

}  // namespace deja::features
