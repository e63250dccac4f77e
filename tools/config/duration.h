// Durations and instants as people write them: "200ms", "1h", "30d"; "-2h"; "2026-01-31T12:00:00Z".
// Microseconds, like every time in Deja. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace deja {

/// "90d" → microseconds. A whole number and one of us ms s m h d w; no sign. Nothing where it is
/// something else or more than 100 years.
[[nodiscard]] std::optional<std::int64_t> parse_duration(std::string_view text);

/// The same with a sign or without: "-2h", "+10m", "0s".
[[nodiscard]] std::optional<std::int64_t> parse_offset(std::string_view text);

/// RFC 3339 in UTC or with an offset, up to microseconds: "2026-01-31T12:00:00.5Z" → microseconds
/// since the epoch.
[[nodiscard]] std::optional<std::int64_t> parse_instant(std::string_view text);

/// 7200000000 → "2h": the largest unit of us ms s m h d that leaves a whole number.
[[nodiscard]] std::string duration_text(std::int64_t duration_us);

}  // namespace deja
