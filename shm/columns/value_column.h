// The column of first, last and trait: one value and its event's time. Private copies only; libc
// alone; any thread.
//
//   0                  8        9       10
//   [ time, encoded ][ kind ][ length ][ text, or the number's 8 bytes ] … padding to 8
//
// A trait that was removed is a null with its time: an older value that arrives later stays out.
#pragma once

#include <cstdint>

#include "shm/columns/bytes.h"
#include "shm/feature_spec.h"
#include "shm/value.h"

namespace deja::columns {

/// Longest text kept anywhere in a frame: its length must fit a byte beside "free".
inline constexpr std::uint32_t kTextBytesMax = 254;

inline constexpr std::uint32_t kValueTimeOffset = 0;
inline constexpr std::uint32_t kValueKindOffset = 8;
inline constexpr std::uint32_t kValueLengthOffset = 9;
inline constexpr std::uint32_t kValuePayloadOffset = 10;

[[nodiscard]] inline std::uint32_t value_column_bytes(const FeatureSpec& spec) {
  return round_up_8(kValuePayloadOffset + (spec.text_bytes < 8 ? 8 : spec.text_bytes));
}

/// The value kept (a view into the column); absent when there is none.
[[nodiscard]] inline Value value_kept(const FeatureSpec& spec, const std::uint8_t* column) {
  if (load<std::uint64_t>(column + kValueTimeOffset) == 0) return {};
  const std::uint8_t* payload = column + kValuePayloadOffset;
  Value value;
  switch (column[kValueKindOffset]) {
    case static_cast<std::uint8_t>(ValueKind::kNull):
      value.kind = ValueKind::kNull;
      break;
    case static_cast<std::uint8_t>(ValueKind::kBool):
      value.kind = ValueKind::kBool;
      value.number = load<double>(payload) != 0 ? 1 : 0;
      break;
    case static_cast<std::uint8_t>(ValueKind::kNumber):
      value = Value::of(finite(load<double>(payload)));
      break;
    case static_cast<std::uint8_t>(ValueKind::kText): {
      const std::uint32_t length = column[kValueLengthOffset];
      value = Value::of(reinterpret_cast<const char*>(payload),
                        length < spec.text_bytes ? length : spec.text_bytes);
      break;
    }
    default:
      break;
  }
  return value;
}

}  // namespace deja::columns
