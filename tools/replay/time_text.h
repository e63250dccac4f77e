// Instants from text. UTC where the text names no zone. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace deja {

/// The whole of `text` by strptime's `format`; microseconds since the epoch.
[[nodiscard]] std::optional<std::int64_t> parse_time(const std::string& text,
                                                     const std::string& format);

/// What a person writes for --at: "now", RFC 3339, or an offset from now ("-2h", "+90s", "-1d").
[[nodiscard]] std::optional<std::int64_t> parse_moment(std::string_view text, std::int64_t now_us);

}  // namespace deja
