// Instants from text: by a strptime format, or RFC 3339. UTC where the text names no zone. Any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace deja {

/// The whole of `text` by strptime's `format`; microseconds since the epoch.
[[nodiscard]] std::optional<std::int64_t> parse_time(const std::string& text,
                                                     const std::string& format);

/// "2026-02-03T04:05:06.007Z", "2026-02-03 04:05:06+02:00", "2026-02-03".
[[nodiscard]] std::optional<std::int64_t> parse_rfc3339(std::string_view text);

/// What a person writes for --at: "now", RFC 3339, or an offset from now ("-2h", "+90s", "-1d").
[[nodiscard]] std::optional<std::int64_t> parse_moment(std::string_view text, std::int64_t now_us);

}  // namespace deja
