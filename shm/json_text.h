// Writing JSON: texts, numbers, instants. Any thread; appends to a std::string, so it allocates.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace deja {

/// Appends `text` as a JSON string: quotes, backslash and control characters escaped, and each byte
/// that is not part of valid UTF-8 replaced by U+FFFD, so that the result always parses.
void append_json_text(std::string& out, std::string_view text);

/// Appends a number as write_number() (shm/number_text.h) has it.
void append_json_number(std::string& out, double number);

/// Appends an instant as RFC 3339 in UTC without quotes, with milliseconds, or with microseconds
/// where there are any: 2026-02-03T04:05:06.007Z. Years outside 0 to 9999 become the nearest there.
void append_instant(std::string& out, std::int64_t time_us);

}  // namespace deja
