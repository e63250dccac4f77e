// Event times as clients write them, to microseconds since the epoch. Pure functions.
//
//   2026-11-20T20:25:54.123456789Z   ISO 8601: 'T', 't' or a blank; fraction of 1 to 9 digits after
//   2026-11-20T20:25:54+02:00        '.' or ',', cut to microseconds; seconds may be left out;
//   2026-11-20T2025-0330             offset Z, z, +hh:mm, +hhmm or +hh; without one it is UTC
//   2026-11-20                       midnight UTC
//   1795206354123                    a JSON number: milliseconds since the epoch
//
// Second 60 is taken as the next minute's 0 (a leap second). Years 1970 to 9999.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace deja {

/// Behind the last instant accepted: the year 10000.
inline constexpr std::int64_t kTimestampEndUs = 253'402'300'800'000'000;

[[nodiscard]] std::optional<std::int64_t> parse_timestamp(std::string_view text);
[[nodiscard]] std::optional<std::int64_t> timestamp_of_milliseconds(double milliseconds);

}  // namespace deja
