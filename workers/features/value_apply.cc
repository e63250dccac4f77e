#include "workers/features/value_apply.h"

#include <cstring>

#include "shm/columns/value_column.h"

namespace deja::features {
namespace {

void write(const FeatureSpec& spec, std::uint8_t* column, std::uint64_t time, const Value& value) {
  std::memset(column, 0, columns::value_column_bytes(spec));
  columns::store(column + columns::kValueTimeOffset, time);
  column[columns::kValueKindOffset] = static_cast<std::uint8_t>(value.kind);
  std::uint8_t* payload = column + columns::kValuePayloadOffset;
  if (value.kind == ValueKind::kText) {
    column[columns::kValueLengthOffset] = static_cast<std::uint8_t>(value.text_bytes);
    if (value.text_bytes > 0) std::memcpy(payload, value.text, value.text_bytes);
  } else {
    columns::store(payload, value.number);
  }
}

/// `value` as it would be kept, cut and normalised.
void take(const FeatureSpec& spec, std::uint8_t* column, std::uint64_t time, const Value& value) {
  const auto kept = columns::load<std::uint64_t>(column + columns::kValueTimeOffset);
  const bool first = spec.type == FeatureType::kFirst;
  if (kept != 0) {
    if (first ? time > kept : time < kept) return;
    if (time == kept) {
      const int order = compare(value, columns::value_kept(spec, column));
      if (first ? order >= 0 : order <= 0) return;
    }
  }
  write(spec, column, time, value);
}

}  // namespace

Applied apply_value(const FeatureSpec& spec, std::uint8_t* column, std::int64_t time_us,
                    const Value& value) {
  if (value.absent()) return Applied::kSkipped;
  if (value.kind == ValueKind::kNull && spec.type != FeatureType::kTrait) return Applied::kSkipped;
  Value kept;
  kept.kind = value.kind;
  if (value.kind == ValueKind::kText) {
    kept.text = value.text;
    kept.text_bytes = cut_text(value.text, value.text_bytes, spec.text_bytes);
  } else if (value.kind != ValueKind::kNull) {
    kept.number = columns::finite(value.number);
  }
  take(spec, column, columns::encode_instant(time_us), kept);
  return Applied::kTaken;
}

void merge_value(const FeatureSpec& spec, std::uint8_t* into, const std::uint8_t* from) {
  const auto time = columns::load<std::uint64_t>(from + columns::kValueTimeOffset);
  const Value value = columns::value_kept(spec, from);
  if (time == 0 || value.absent()) return;
  take(spec, into, time, value);
}

}  // namespace deja::features
